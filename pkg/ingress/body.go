package ingress

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

const (
	// firstRead is how much memory a request gets before it has sent anything:
	// its Content-Length is a claim.
	firstRead = 64 << 10
	// maxPooled is the largest buffer that is kept for the next request.
	maxPooled = 256 << 10
)

// bodies are buffers for request bodies. An event is encoded into memory of its
// own before it is appended, so a body is of no use after the answer.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

func release(buf *[]byte) {
	if cap(*buf) <= maxPooled {
		bodies.Put(buf)
	}
}

// readBody reads the whole body into *buf, and no more than limit bytes.
// Errors are errTooLarge and errUnreadable.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, buf *[]byte) error {
	if r.ContentLength > limit {
		return errTooLarge
	}
	*buf = (*buf)[:0]
	if r.ContentLength == 0 {
		return nil
	}
	body := r.Body
	if r.ContentLength < 0 {
		body = http.MaxBytesReader(w, body, limit)
	}
	err := readInto(buf, body, r.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return errTooLarge
	}
	return errUnreadable
}

// readInto appends to *buf what r has: size bytes, or all if size is negative.
func readInto(buf *[]byte, r io.Reader, size int64) error {
	b := *buf
	defer func() { *buf = b }()
	if want := min(size, firstRead); int64(cap(b)) < want {
		b = make([]byte, 0, want)
	}
	for {
		if int64(len(b)) == size {
			return nil
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		room := b[len(b):cap(b)]
		if size >= 0 {
			room = room[:min(int64(len(room)), size-int64(len(b)))]
		}
		n, err := r.Read(room)
		b = b[:len(b)+n]
		switch {
		case err == io.EOF && (size < 0 || int64(len(b)) == size):
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}
