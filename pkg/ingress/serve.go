package ingress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
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
}

// serve answers the plain requests of a connection, until it closes or brings
// another request.
func (f *Front) serve(c *conn) {
	p := &plainConn{conn: c, front: f, buf: frontBuffers.Get().(*[frontBuffer]byte)}
	defer frontBuffers.Put(p.buf)
	for wait := f.ReadTimeout; !f.closing.Load(); wait = f.IdleTimeout {
		header, ok := p.readHeader(wait)
		if !ok {
			return
		}
		// One copy for all that is kept of it: the buffer is used again.
		to, ok := p.plain(string(p.buf[:header]))
		if !ok {
			f.handOver(c, p.buf[:p.have])
			return
		}
		rest := p.buf[header+len(endOfHeader) : p.have]
		ConnState(c, http.StateActive)
		fit := p.post(to, rest)
		ConnState(c, http.StateIdle)
		if !fit {
			break
		}
		p.have = copy(p.buf[:], rest[min(int64(len(rest)), p.request.length):])
	}
	_ = c.Close() // the answer is out, if there is one
}

const endOfHeader = "\r\n\r\n"

// readHeader reads until there is a whole header, and returns its length without
// the empty line. If there is none, the connection is closed or handed over.
func (p *plainConn) readHeader(wait time.Duration) (length int, ok bool) {
	for begun, searched := false, 0; ; {
		if i := bytes.Index(p.buf[searched:p.have], []byte(endOfHeader)); i >= 0 {
			return searched + i, true
		}
		searched = max(0, p.have-len(endOfHeader)+1)
		if p.have == len(p.buf) {
			p.front.handOver(p.conn, p.buf[:p.have])
			return 0, false
		}
		if !begun {
			if begun = p.have > 0; begun {
				wait = p.front.ReadTimeout
			}
			_ = p.reads.set(p.Conn, time.Now().Add(wait)) // an error of it shows in the next line
		}
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
		p.front.handOver(p.conn, p.buf[:p.have]) // which knows what to say to half a request
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
	h, r := p.front.handler, &p.request
	var body []byte
	var unread error
	if r.length <= int64(len(rest)) {
		body = rest[:r.length]
	} else {
		b := newBody(h.Budget)
		defer b.release()
		unread = p.readBody(b, rest)
		body = b.bytes
	}
	var events []cloudevent.Event
	err := unread
	if err == nil {
		events, err = cloudevent.FromFields(r.fields, body)
	}
	if err == nil {
		err = h.gate.Admit(context.Background(), to, FromOutside(), events...)
		h.log(to, err)
	}
	if h.Observer != nil {
		h.observe(to, events, Status(err), time.Since(start))
	}
	return p.answer(err, unread == nil)
}

// readBody reads a body that is longer than what was read with its header.
func (p *plainConn) readBody(b *body, rest []byte) error {
	_ = p.reads.set(p.Conn, time.Now().Add(p.front.ReadTimeout)) // an error of it shows in the next line
	b.bytes = append(b.small[:0], rest...)
	err := b.fill(receiver{p.conn}, p.request.length, p.request.length)
	if err == nil || errors.Is(err, errBusy) {
		return err
	}
	return unreadable(err, errUnreadable)
}

// receiver reads from a connection's socket.
type receiver struct{ conn *conn }

func (r receiver) Read(p []byte) (int, error) { return r.conn.receive(p) }

// answer writes the answer for err and reports whether the connection is fit for
// another request: not where this one was not read to its end.
func (p *plainConn) answer(err error, whole bool) bool {
	text := acceptedNow()
	if err != nil {
		status, reason, retryAfter := answerTo(err)
		if !whole {
			p.refuse(status, reason, retryAfter)
			return false
		}
		text = textAnswer(status, reason, retryAfter, false)
	}
	_, err = p.Write(text)
	return err == nil
}

// lingering bounds how long, and how much, is still read of a request that was
// refused: closed before, the connection would be reset, and the answer lost.
const (
	lingering     = 500 * time.Millisecond
	lingeringMost = 1 << 20
)

// refuse writes the last answer on the connection.
func (p *plainConn) refuse(status int, text, retryAfter string) {
	if _, err := p.Write(textAnswer(status, text, retryAfter, true)); err != nil {
		return
	}
	if p.CloseWrite() == nil && p.reads.set(p.Conn, time.Now().Add(lingering)) == nil {
		_, _ = io.CopyN(io.Discard, receiver{p.conn}, lingeringMost) // whatever comes of it
	}
}

// textAnswer is what http.Error answers.
func textAnswer(status int, text, retryAfter string, last bool) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	if last {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\n")
	if retryAfter != "" {
		b.WriteString("Retry-After: " + retryAfter + "\r\n")
	}
	b.WriteString("X-Content-Type-Options: nosniff\r\nContent-Length: " + strconv.Itoa(len(text)+1) + "\r\n")
	b.WriteString("Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n\r\n" + text + "\n")
	return b.Bytes()
}

// dated is the answer of a second.
type dated struct {
	second int64
	text   []byte
}

var accepted202 atomic.Pointer[dated]

// acceptedNow is the answer 202 with the date of now.
func acceptedNow() []byte {
	now := time.Now()
	a := accepted202.Load()
	if a == nil || a.second != now.Unix() {
		a = &dated{now.Unix(), []byte("HTTP/1.1 202 Accepted\r\nDate: " + now.UTC().Format(http.TimeFormat) + "\r\nContent-Length: 0\r\n\r\n")}
		accepted202.Store(a)
	}
	return a.text
}
