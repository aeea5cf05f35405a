package ingress

import (
	"maps"
	"net"
	"slices"
	"sync"
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

// each calls f with every connection that is open.
func (l *Listener) each(f func(*conn)) {
	l.mu.Lock()
	all := slices.Collect(maps.Keys(l.conns))
	l.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}
