package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

type connKey struct{}

// ConnContext is for the http.Server that serves a Listener.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// hangUp closes the connection of a request.
func hangUp(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(net.Conn); ok {
		_ = c.Close() // it may be closed already
	}
}

// ConnState is for the http.Server that serves a Listener.
func ConnState(c net.Conn, state http.ConnState) {
	own, ok := c.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		own.active.Store(true)
	case http.StateIdle:
		own.header.Store(0)
		own.give()
		own.served.Store(true)
		own.active.Store(false)
	}
}

// conn is a connection of a Listener. While the header of a request is read it
// is not active.
type conn struct {
	net.Conn
	listener *Listener
	// active is set while a request is served, served once one was.
	active, served atomic.Bool
	// header is how much was read since the last request.
	header atomic.Int64
	// taken is of the budget, until the request ends.
	taken  atomic.Int64
	closed atomic.Bool
	reads  readDeadline
	// front is set while a Front serves the connection, and unread is what that
	// has read and net/http has not.
	front  atomic.Bool
	unread []byte
	// patient is until when no write needs a new deadline, in nanoseconds since
	// the listener began.
	patient atomic.Int64
}

// busy is what a client gets whose header finds no room. It has no request yet
// that net/http could answer.
const busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Connection: close\r\n\r\ntoo much is under way at present\n"

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.receive(p)
	if n == 0 || c.active.Load() || c.listener.budget == nil {
		return n, err
	}
	over := c.header.Add(int64(n)) - freeHeader
	if over <= 0 || c.take(min(int64(n), over)) {
		return n, err
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second)) // an error of it shows in the next line
	_, _ = io.WriteString(c.Conn, busy)                      // who does not read it has gone
	return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errBusy}
}

// receive reads what a Front has left, and then the socket.
func (c *conn) receive(p []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		if c.unread = c.unread[n:]; len(c.unread) == 0 {
			c.unread = nil // its memory is not wanted any more
		}
		return n, nil
	}
	n, err := c.Conn.Read(p)
	for n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.reads.later(c.Conn) {
		n, err = c.Conn.Read(p)
	}
	return n, err
}

func (c *conn) take(n int64) bool {
	if !c.listener.budget.take(n) {
		return false
	}
	c.taken.Add(n)
	if c.closed.Load() {
		c.give()
	}
	return true
}

func (c *conn) give() {
	if c.listener.budget != nil {
		c.listener.budget.give(c.taken.Swap(0))
	}
}

// Write implements net.Conn. A client that takes nothing is given up after
// minWrite to maxWrite, so that a deadline is set once for many writes.
func (c *conn) Write(p []byte) (int, error) {
	if now := time.Since(c.listener.began); now >= time.Duration(c.patient.Load()) {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(maxWrite)); err != nil {
			return 0, err
		}
		c.patient.Store(int64(now + maxWrite - minWrite))
	}
	return c.Conn.Write(p)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.reads.set(c.Conn, t)
}

// SetWriteDeadline implements net.Conn. Every write has a deadline: there is
// none to take away.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	c.patient.Store(0)
	return c.Conn.SetWriteDeadline(t)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	if !c.closed.Swap(true) {
		c.listener.remove(c)
	}
	c.give()
	return c.Conn.Close()
}

// CloseWrite lets net/http tell a client of the end before it closes.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
