//go:build linux || darwin

package server

import "syscall"

// connsOf leaves half of the process's file descriptors to the log, without
// which nothing goes on, and to deliveries.
func connsOf(limit int) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return limit
	}
	return int(min(uint64(limit), files.Cur/2))
}
