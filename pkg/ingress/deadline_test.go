package ingress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// counting counts how often the socket is given a deadline.
type counting struct {
	net.Conn
	calls int
}

func (c *counting) SetReadDeadline(t time.Time) error {
	c.calls++
	return c.Conn.SetReadDeadline(t)
}

// Reads fail when net/http has said last, however often it said something else
// before, and the socket hears of it once a minute.
func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		socket := &counting{Conn: ours}
		c := &conn{Conn: socket, listener: Bound(nil, 1, nil)}
		fails := func(want time.Duration) {
			t.Helper()
			begun := time.Now()
			_, err := c.Read(make([]byte, 10))
			if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || took != want {
				t.Fatalf("a read failed after %v with %v, want %v", took, err, want)
			}
		}
		set := func(at time.Time) {
			t.Helper()
			if err := c.SetReadDeadline(at); err != nil {
				t.Fatal(err)
			}
		}
		for range 600 { // requests, ten a second
			set(time.Now().Add(2 * time.Minute))
			set(time.Time{})
			set(time.Now().Add(time.Minute))
			go func() { _, _ = theirs.Write([]byte("request")) }()
			if _, err := c.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if socket.calls > 3 {
			t.Errorf("in a minute the socket was given %d deadlines", socket.calls)
		}
		set(time.Now().Add(time.Minute))
		fails(time.Minute)
		fails(0)
		set(time.Now().Add(time.Hour)) // later than one that has passed
		fails(time.Hour)
		set(time.Now().Add(time.Hour))
		set(time.Now().Add(time.Second)) // earlier than one that is set
		fails(time.Second)
		set(time.Time{})
		read := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 10))
			read <- err
		}()
		time.Sleep(24 * time.Hour)
		set(time.Unix(1, 0)) // ends a read that is under way
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a read that was called back: %v", err)
		}
		_, _ = c.Close(), theirs.Close() // a pipe has no error to tell
	})
}

// Requests on one connection are answered in turn, also those that were sent
// before the answer to the one before, and those with bodies of any kind.
func TestRequestsOnOneConnection(t *testing.T) {
	w := newWorld()
	server := httptest.NewUnstartedServer(New(w.gate, Options{}))
	server.Listener = Bound(server.Listener, 10, nil)
	server.Config.ConnState, server.Config.ConnContext = ConnState, ConnContext
	server.Config.ReadTimeout = 10 * time.Second
	server.Start()
	t.Cleanup(server.Close)
	conn := dial(t, server)
	const head = "POST /ns/default HTTP/1.1\r\nHost: x\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\nce-specversion: 1.0\r\n"
	requests := []string{
		head + "Content-Length: 0\r\n\r\n",
		head + "Content-Length: 1\r\n\r\nx",
		head + "Content-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000),
		head + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	}
	answers := bufio.NewReader(conn)
	for round := range 20 {
		all := strings.Join(requests, "")
		if round%2 == 0 { // one after the other
			all = requests[round/2%len(requests)]
		}
		go func() { _, _ = io.WriteString(conn, all) }() // an error shows in the answers
		for range strings.Count(all, "POST ") {
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(fmt.Errorf("round %d: %w", round, err))
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusAccepted {
				t.Fatalf("round %d: %s", round, res.Status)
			}
		}
	}
}
