package ingress

import (
	"net"
	"sync"
	"time"
)

// readDeadline is a connection's deadline for reads. net/http moves it several
// times for each request, nearly always to later: then the socket keeps the one
// it has, and is given the right one when that has passed. It may be used by many
// goroutines at once.
type readDeadline struct {
	mu sync.Mutex
	// want is when reads are to fail, socket when they do: not later. Zero is
	// never.
	want, socket time.Time
}

// set changes the deadline.
func (d *readDeadline) set(conn net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	early := !d.socket.IsZero() && (t.IsZero() || !t.Before(d.socket))
	if early || d.socket.IsZero() && t.IsZero() {
		return nil
	}
	return d.arm(conn)
}

// later is asked when a read has failed at the socket's deadline, and says
// whether there is time left.
func (d *readDeadline) later(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.want.IsZero() && !time.Now().Before(d.want) {
		return false
	}
	return d.arm(conn) == nil
}

// arm gives the socket the deadline that is wanted. d.mu is held.
func (d *readDeadline) arm(conn net.Conn) error {
	d.socket = d.want
	return conn.SetReadDeadline(d.want)
}
