//go:build unix

package http1

import "syscall"

// alive says whether an idle connection may take a request: its peer has not
// closed it, and has sent nothing that nobody asked for.
func (c *conn) alive() bool {
	if c.raw == nil {
		return true
	}
	nothing := false
	err := c.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		nothing = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && nothing
}
