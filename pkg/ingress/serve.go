package ingress

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// frontBuffer is what a connection of a Front reads into: the header of a plain
// request fits into it, and most bodies.
const frontBuffer = 4 << 10

var frontBuffers = sync.Pool{New: func() any { return new([frontBuffer]byte) }}

// plainConn is a connection that a Front serves.
type plainConn struct {
	*conn
	front   *Front
	buf     *[frontBuffer]byte
	have    int // bytes of buf that are read and not yet served
	request plainRequest
	// until is when the request must have come in; zero before it is waited for.
	until time.Time
}

// serve answers the plain requests of a connection, until it closes or brings
// another request.
func (f *Front) serve(c *conn) {
	p := &plainConn{conn: c, front: f, buf: frontBuffers.Get().(*[frontBuffer]byte)}
	defer frontBuffers.Put(p.buf)
	defer p.recovered()
	for !f.closing.Load() {
		header, ok := p.readHeader()
		if !ok {
			return
		}
		// One copy for all that is kept of it: the buffer is used again.
		to, ok := p.plain(string(p.buf[:header]))
		if !ok {
			p.handOver()
			return
		}
		ConnState(c, http.StateActive)
		if f.closing.Load() {
			break // it may be closed already, and nothing is stored without an answer
		}
		rest := p.buf[header+len(endOfHeader) : p.have]
		fit := p.post(to, rest)
		ConnState(c, http.StateIdle)
		if !fit {
			break
		}
		p.have = copy(p.buf[:], rest[min(int64(len(rest)), p.request.length):])
		if f.closing.Load() || !p.await() {
			break
		}
	}
	_ = c.Close() // the answer is out, if there is one
}

// recovered ends a connection whose request made us panic. As with net/http it is
// the only one that ends.
func (p *plainConn) recovered() {
	if reason := recover(); reason != nil {
		p.front.handler.Logger.Error("BUG: a request could not be served; its connection is closed, all others go on", "panic", reason, "stack", string(debug.Stack()))
		_ = p.Close() // nobody serves it any more
	}
}

// handOver gives the connection to the http.Server.
func (p *plainConn) handOver() { p.front.handOver(p.conn, p.buf[:p.have]) }

// between is how many bytes must come before they count as another request. Line
// ends among them are not part of it: senders of old add one to a body.
const between = 4

// await waits for another request, as net/http does.
func (p *plainConn) await() bool {
	if p.have < between {
		_ = p.reads.set(p.Conn, time.Now().Add(p.front.IdleTimeout)) // an error of it shows in the next line
	}
	for p.have < between {
		n, err := p.receive(p.buf[p.have:])
		if p.have += n; err != nil {
			return false
		}
	}
	n := between - len(bytes.TrimLeft(p.buf[:between], "\r\n"))
	p.have = copy(p.buf[:], p.buf[n:p.have])
	p.until = time.Time{}
	return true
}

// due bounds the time in which the request comes in.
func (p *plainConn) due() {
	if p.until.IsZero() {
		p.until = time.Now().Add(p.front.ReadTimeout)
	}
	_ = p.reads.set(p.Conn, p.until) // an error of it shows in the next read
}

const endOfHeader = "\r\n\r\n"

// readHeader reads until there is a whole header, and returns its length without
// the empty line. If there is none, the connection is closed or handed over: at
// once where no plain header begins so, as net/http may see its end.
func (p *plainConn) readHeader() (length int, ok bool) {
	for searched := 0; ; {
		if i := bytes.Index(p.buf[searched:p.have], []byte(endOfHeader)); i >= 0 {
			return searched + i, true
		}
		searched = max(0, p.have-len(endOfHeader)+1)
		if p.have == len(p.buf) || !beginsPlain(p.buf[:p.have]) {
			p.handOver()
			return 0, false
		}
		p.due()
		n, err := p.receive(p.buf[p.have:])
		p.have += n
		if err != nil {
			p.broken(err)
			return 0, false
		}
	}
}

// broken ends a connection that brings no whole header.
func (p *plainConn) broken(err error) {
	switch {
	case p.have > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		p.refuse(http.StatusBadRequest, "the header took too long to come in", "")
	case p.have > 0:
		p.handOver() // to one that knows what to say to half a request
		return
	}
	_ = p.Close() // there is nobody to tell
}

// plain takes a header and finds the stream that the request means. Whatever is
// not as it is nearly always is not ours to answer.
func (p *plainConn) plain(header string) (routing.StreamName, bool) {
	if !p.request.parse(header) || p.request.length > p.front.handler.MaxBodyBytes {
		return routing.StreamName{}, false
	}
	to, err := p.front.handler.gate.address(p.request.path, p.request.host, false)
	return to, err == nil
}

// post serves the request whose header is read and whose body begins with rest,
// and reports whether the connection is fit for another one.
func (p *plainConn) post(to routing.StreamName, rest []byte) (fit bool) {
	start := time.Now()
	if n := p.request.length; n <= int64(len(rest)) {
		return p.answer(p.store(to, rest[:n], nil, start), true)
	}
	whole, err := p.postLong(to, rest, start)
	return p.answer(err, whole)
}

// postLong is for a body that is longer than what was read with its header. What
// it takes is given back before the answer, which the client may keep waiting.
func (p *plainConn) postLong(to routing.StreamName, rest []byte, start time.Time) (whole bool, err error) {
	b := newBody(p.front.handler.Budget)
	defer b.release()
	unread := p.readBody(b, rest)
	return unread == nil, p.store(to, b.bytes, unread, start)
}

// store stores the events of a request, unless its body could not be read.
func (p *plainConn) store(to routing.StreamName, body []byte, unread error, start time.Time) error {
	h, err := p.front.handler, unread
	var events []cloudevent.Event
	if err == nil {
		events, err = cloudevent.FromFields(p.request.fields, body)
	}
	if err == nil {
		err = h.gate.Admit(context.Background(), to, FromOutside(), events...)
		h.log(to, err)
	}
	if h.Observer != nil {
		h.observe(to, events, Status(err), time.Since(start))
	}
	return err
}

// readBody reads all of a body that begins with rest.
func (p *plainConn) readBody(b *body, rest []byte) error {
	p.due()
	b.bytes = b.small[:0]
	b.bytes = append(b.bytes, rest...)
	err := b.fill(receiver{p.conn}, p.request.length, p.request.length)
	if err == nil || errors.Is(err, errBusy) {
		return err
	}
	return unreadable(err, errUnreadable)
}

// receiver reads from a connection's socket.
type receiver struct{ conn *conn }

func (r receiver) Read(p []byte) (int, error) { return r.conn.receive(p) }
