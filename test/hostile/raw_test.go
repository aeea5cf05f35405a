package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// cutOff is what an exchange came to when the binary answered nothing and ended
// the connection.
const cutOff = 0

// bound is how long a request that is sent as a whole may take.
const bound = 10 * time.Second

// dial opens a connection for events that is closed at the end of the test.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.Listen)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	return conn
}

// exchange sends text on a connection of its own and returns the statuses of
// the answers until the binary ends the connection, [cutOff] if there are none.
// It fails the test if that takes too long.
func (w *world) exchange(text string) ([]int, error) {
	conn, err := net.Dial("tcp", w.Listen)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, text)
		if err == nil {
			err = conn.(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	answer, err := io.ReadAll(conn)
	_ = conn.Close()
	if err := <-sent; errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("after %v it still neither takes the request nor ends the connection", bound)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("after %v the connection is still open; the answer is %.300q", bound, answer)
	}
	return statuses(string(answer)), nil
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] (\d{3}) [A-Z]`)

// statuses finds the status lines of answers one after the other.
func statuses(answer string) []int {
	var found []int
	for _, line := range statusLine.FindAllStringSubmatch(answer, -1) {
		status, _ := strconv.Atoi(line[1]) // three digits
		found = append(found, status)
	}
	if len(found) == 0 {
		return []int{cutOff}
	}
	return found
}

// refused checks that each exchange ends with one of these statuses in turn,
// and that none of them is 2xx.
func (w *world) refused(name, text string, want ...int) {
	w.t.Helper()
	got, err := w.exchange(text)
	switch {
	case err != nil:
		w.t.Errorf("%s: %v", name, err)
	case !slices.Equal(got, want):
		w.t.Errorf("%s: answered %v, want %v", name, got, want)
	}
}

// Parts of requests.
const (
	requestLine = "POST /test/hub HTTP/1.1\r\n"
	binaryEvent = "Host: x\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n"
	head        = requestLine + binaryEvent
	chunked     = "Transfer-Encoding: chunked\r\n\r\n"
)

// whole is a request with a body of known length.
func whole(head, contentType, body string) string {
	if contentType != "" {
		contentType = "Content-Type: " + contentType + "\r\n"
	}
	return fmt.Sprintf("%s%sContent-Length: %d\r\n\r\n%s", head, contentType, len(body), body)
}

// requests are tried one by one on connections of their own.
type requests map[string]struct {
	text string
	want []int
}

func (w *world) tryAll(t *testing.T, all requests) {
	t.Helper()
	for name, r := range all {
		w.refused(name, r.text, r.want...)
	}
}

func is(statuses ...int) []int { return statuses }
