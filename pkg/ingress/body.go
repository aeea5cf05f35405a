package ingress

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

const (
	// freeBody is how much memory every body has for itself. What is beyond it
	// is of the Budget, and comes as the bytes come: a Content-Length is a claim.
	freeBody = 8 << 10
	// maxPooled is the largest buffer that is kept for the next request.
	maxPooled = 256 << 10
)

// body is a request's body and the memory for it. An event is encoded into
// memory of its own before it is appended, so that a body is of no use after the
// answer.
type body struct {
	budget *Budget
	// bytes are the body so far. small is where they begin.
	bytes, small []byte
	// large is where they are when small was too small, nil before that. All of
	// it is taken of the budget.
	large *[]byte
}

// bodies are kept with their small buffers, larges are buffers that are larger.
var (
	bodies = sync.Pool{New: func() any { return &body{small: make([]byte, 0, freeBody)} }}
	larges sync.Pool
)

func newBody(budget *Budget) *body {
	b := bodies.Get().(*body)
	b.budget = budget
	return b
}

// release gives everything back. The bytes must not be used any more.
func (b *body) release() {
	b.budget.give(int64(b.taken()))
	if b.large != nil {
		keep(b.large)
	}
	*b = body{small: b.small}
	bodies.Put(b)
}

// read reads the whole body of a request, and no more than limit bytes.
// Errors are errTooLarge, errBusy, errSlow, errMalformed and errUnreadable.
func (b *body) read(w http.ResponseWriter, r *http.Request, limit int64) error {
	if r.ContentLength > limit {
		return errTooLarge
	}
	b.bytes = b.small[:0]
	if r.ProtoMajor >= 2 {
		return b.readStream(w, r, limit)
	}
	in := r.Body
	switch {
	case r.ContentLength == 0:
		return nil
	case r.ContentLength < 0:
		in = http.MaxBytesReader(w, in, limit)
	}
	err := b.fill(in, r.ContentLength, r.ContentLength)
	if err == nil || errors.Is(err, errBusy) {
		return err
	}
	return unreadable(err, errMalformed)
}

// readStream is read for HTTP/2, where a body ends with its stream and net/http
// leaves it to us whether its length is what it was said to be.
func (b *body) readStream(w http.ResponseWriter, r *http.Request, limit int64) error {
	err := b.fill(http.MaxBytesReader(w, r.Body, limit), -1, r.ContentLength+1)
	if err != nil && !errors.Is(err, errBusy) {
		return unreadable(err, errUnreadable)
	}
	if err != nil {
		return err
	}
	for _, said := range r.Header["Content-Length"] {
		if said != strconv.Itoa(len(b.bytes)) {
			return errMalformed
		}
	}
	return nil
}

// unreadable says why a body could not be read; other is for what is neither
// the sender's going away nor its keeping us waiting.
func unreadable(err, other error) error {
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return errUnreadable
	}
	return other
}

// fill reads size bytes, or all if size is negative. The memory for them grows
// up to likely at first.
func (b *body) fill(in io.Reader, size, likely int64) error {
	for {
		have := int64(len(b.bytes))
		if have == size {
			return nil
		}
		if have == int64(cap(b.bytes)) {
			if err := b.grow(likely); err != nil {
				return err
			}
		}
		room := b.bytes[have:cap(b.bytes)]
		if size >= 0 {
			room = room[:min(int64(len(room)), size-have)]
		}
		n, err := in.Read(room)
		have += int64(n)
		b.bytes = b.bytes[:have]
		switch {
		case err == io.EOF && (size < 0 || have == size):
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}

// grow doubles the room for the bytes, or makes it likely if that is less.
func (b *body) grow(likely int64) error {
	have := cap(b.bytes)
	want := 2 * have
	if likely > int64(have) {
		want = int(min(int64(want), likely))
	}
	next, ok := larges.Get().(*[]byte)
	if !ok || cap(*next) < want {
		next = new([]byte)
		*next = make([]byte, 0, want)
	}
	if !b.budget.take(int64(cap(*next) - b.taken())) {
		keep(next)
		return errBusy
	}
	b.bytes = append((*next)[:0], b.bytes...)
	if b.large != nil {
		keep(b.large)
	}
	b.large = next
	return nil
}

// taken is what the body has of the budget.
func (b *body) taken() int {
	if b.large == nil {
		return 0
	}
	return cap(*b.large)
}

// keep keeps a large buffer for another body.
func keep(buf *[]byte) {
	if cap(*buf) <= maxPooled {
		larges.Put(buf)
	}
}
