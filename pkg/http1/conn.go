package http1

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"syscall"
	"time"
)

// conn is a connection. It belongs to one exchange, or is idle.
type conn struct {
	net.Conn
	addr string
	in   *bufio.Reader
	// left is how many bytes of a header may still be read.
	left int64
	// request is what is being written, and bufs where it lies; here for reuse.
	request net.Buffers
	bufs    [2][]byte
	// raw looks at the connection itself, nil if that is not possible.
	raw   syscall.RawConn
	since time.Time // when it became idle
}

const unlimited = math.MaxInt64

var errLongHeader = errors.New("the response's header is too long")

func newConn(c net.Conn, addr string) *conn {
	made := &conn{Conn: c, addr: addr, left: unlimited}
	made.in = bufio.NewReader(limited{made})
	if s, ok := c.(syscall.Conn); ok {
		made.raw, _ = s.SyscallConn() // without it, a dead connection costs an attempt
	}
	return made
}

func (c *conn) write(header, body []byte) error {
	if len(body) == 0 {
		_, err := c.Conn.Write(header)
		return err
	}
	c.bufs = [2][]byte{header, body}
	c.request = c.bufs[:]
	_, err := c.request.WriteTo(c.Conn)
	c.bufs = [2][]byte{}
	return err
}

// interrupt makes whoever reads or writes fail.
func (c *conn) interrupt() {
	_ = c.SetDeadline(time.Unix(1, 0)) // it may be closed
}

func (c *conn) close() {
	_ = c.Conn.Close() // there is nothing in it that is still wanted
}

// limited reads from a connection until what is left of a header is used up.
type limited struct{ conn *conn }

func (l limited) Read(p []byte) (int, error) {
	if l.conn.left <= 0 {
		return 0, errLongHeader
	}
	n, err := l.conn.Conn.Read(p[:min(int64(len(p)), l.conn.left)])
	if l.conn.left != unlimited {
		l.conn.left -= int64(n)
	}
	return n, err
}

// responseBody is the body of a response. Closing it ends the exchange.
type responseBody struct {
	exchange *exchange
	in       io.Reader
	// fit is whether the connection may be used again when all is read.
	fit, ended, closed bool
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.in.Read(p)
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		b.ended = true
		return n, io.EOF
	}
	return n, b.exchange.explain(err)
}

// Close implements io.Closer.
func (b *responseBody) Close() error {
	if !b.closed {
		b.closed = true
		b.exchange.end(b.fit && b.ended)
	}
	return nil
}
