package ingress

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

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
