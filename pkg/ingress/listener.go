package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// freeHeader is how much of a header a connection may send before the rest
	// is of the Budget.
	freeHeader = 8 << 10
	// minWrite and maxWrite bound how long a write waits for the client.
	minWrite = 60 * time.Second
	maxWrite = 90 * time.Second
	// sample bounds the search for a connection that can make room.
	sample = 64
)

// A Listener has a bounded number of connections open at once, so that neither
// memory nor file descriptors run out. Past the bound a connection without a
// request makes room for a new one; if there is none, the new one is closed.
// A connection on which nothing can be written is closed as well.
type Listener struct {
	net.Listener
	limit  int
	budget *Budget
	began  time.Time

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// Bound returns a Listener of at most limit connections. The http.Server that
// serves it must have ConnState and ConnContext. Headers that are being read take
// of the budget; nil does not bound them.
func Bound(l net.Listener, limit int, budget *Budget) *Listener {
	return &Listener{Listener: l, limit: max(limit, 1), budget: budget, began: time.Now(), conns: map[*conn]struct{}{}}
}

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

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, listener: l}
		if l.add(c) {
			return c, nil
		}
		_ = accepted.Close() // nobody has seen it
	}
}

// add says whether there is room for the connection.
func (l *Listener) add(c *conn) bool {
	l.mu.Lock()
	var victim *conn
	if len(l.conns) >= l.limit {
		if victim = l.victim(); victim == nil {
			l.mu.Unlock()
			return false
		}
		delete(l.conns, victim)
	}
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	if victim != nil {
		_ = victim.Close() // it served nothing
	}
	return true
}

// victim is a connection that serves no request, any one: where an attacker has
// most of them, it is most likely one of the attacker's. One that has served
// requests is likely to be wanted again, and goes last.
func (l *Listener) victim() *conn {
	var idle *conn
	n := 0
	for c := range l.conns {
		if !c.active.Load() {
			if !c.served.Load() {
				return c
			}
			idle = c
		}
		if n++; n == sample {
			break
		}
	}
	return idle
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
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
	n, err := c.Conn.Read(p)
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
