package ingress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// FrontOptions of a Front; all are required.
type FrontOptions struct {
	// ReadTimeout bounds the time in which a request comes in, and IdleTimeout
	// the time between two: as in the http.Server behind.
	ReadTimeout, IdleTimeout time.Duration
}

// A Front stands between a Listener and an http.Server. It serves plain requests
// itself (see plainRequest), which is nearly all that senders of events send and
// costs less here than in net/http (docs/adr/0013). A connection with any other
// request goes on to the http.Server, from that request on and for the rest of
// its life, as if it were a new one: there is one place that knows all of HTTP.
//
// It is the net.Listener of that server, whose Shutdown stops it as well; Wait
// comes after it.
type Front struct {
	listener *Listener
	handler  *handler
	FrontOptions

	// handed are connections on their way to the http.Server, and failed is why
	// no more are accepted.
	handed  chan net.Conn
	failed  chan error
	closing atomic.Bool
	closed  chan struct{}
	running sync.WaitGroup
}

// NewFront serves the connections of l with a handler of New, until Close.
func NewFront(l *Listener, h http.Handler, o FrontOptions) *Front {
	f := &Front{
		listener: l, handler: h.(*handler), FrontOptions: o,
		handed: make(chan net.Conn), failed: make(chan error, 1), closed: make(chan struct{}),
	}
	f.running.Go(f.run)
	return f
}

// Accept implements net.Listener: it returns the next connection that is not
// served here.
func (f *Front) Accept() (net.Conn, error) {
	select {
	case c := <-f.handed:
		return c, nil
	case err := <-f.failed:
		return nil, err
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (f *Front) Addr() net.Addr { return f.listener.Addr() }

// Close implements net.Listener: no more connections are accepted, and those that
// are served here close when they have answered what they have begun.
func (f *Front) Close() error {
	if f.closing.Swap(true) {
		return nil
	}
	close(f.closed)
	err := f.listener.Close()
	f.listener.each(func(c *conn) {
		if c.front.Load() && !c.active.Load() {
			_ = c.Close() // it is idle
		}
	})
	return err
}

// Wait returns when all requests that are served here are answered, after Close.
// When ctx ends before, their connections are closed and the error is ctx's; what
// is being stored is waited for nevertheless.
func (f *Front) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	f.listener.each(func(c *conn) {
		if c.front.Load() {
			_ = c.Close() // cut off
		}
	})
	<-done
	return ctx.Err()
}

// Bounds of the pause after an error of Accept that goes away, such as too many
// open files: those of net/http.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

func (f *Front) run() {
	pause := time.Duration(0)
	for {
		accepted, err := f.listener.Accept()
		if err == nil {
			pause = 0
			c := accepted.(*conn)
			c.front.Store(true)
			f.running.Go(func() { f.serve(c) })
			continue
		}
		//nolint:staticcheck // net/http asks for Temporary as well
		if t, ok := errors.AsType[net.Error](err); !ok || !t.Temporary() || f.closing.Load() {
			f.failed <- err
			return
		}
		pause = min(max(2*pause, minAcceptPause), maxAcceptPause)
		f.handler.Logger.Warn("no connection could be accepted; it is tried again soon", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-f.closed:
		}
	}
}

// handOver gives a connection to the http.Server, with what was read of it.
func (f *Front) handOver(c *conn, read []byte) {
	c.front.Store(false)
	c.unread = append([]byte(nil), read...)
	select {
	case f.handed <- c:
	case <-f.closed:
		_ = c.Close() // nobody serves it any more
	}
}
