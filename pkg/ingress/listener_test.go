package ingress

import (
	"bufio"
	"errors"
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

// bounded is a server behind a Listener. Requests to /hang wait for release.
func bounded(t *testing.T, limit int, budget *Budget) (server *httptest.Server, listener *Listener, release func()) {
	t.Helper()
	hang := make(chan struct{})
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-hang
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	listener = Bound(server.Listener, limit, budget)
	server.Listener = listener
	server.Config.ConnState = ConnState
	server.Config.MaxHeaderBytes = 256 << 10
	server.Start()
	t.Cleanup(server.Close)
	return server, listener, func() { close(hang) }
}

// ask sends a request on a connection and returns the status line.
func ask(t *testing.T, conn net.Conn, path string) string {
	t.Helper()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err.Error()
	}
	return answerOn(conn)
}

func answerOn(conn net.Conn) string {
	status, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(status)
}

const accepted = "HTTP/1.1 202 Accepted"

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func (l *Listener) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Connections that do nothing, or nothing any more, make room for new ones.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	server, listener, _ := bounded(t, 10, nil)
	for i := range 100 {
		conn := dial(t, server)
		if i%2 == 0 {
			continue // never says anything
		}
		if got := ask(t, conn, "/"); got != accepted {
			t.Fatalf("connection %d: %s", i, got)
		}
	}
	eventually(t, "10 connections are open", func() bool { return listener.open() == 10 })
}

// Connections that never had a request go before those that had.
func TestKeptConnectionsGoLast(t *testing.T) {
	server, listener, _ := bounded(t, 10, nil)
	var kept []net.Conn
	for range 5 {
		conn := dial(t, server)
		kept = append(kept, conn)
		if got := ask(t, conn, "/"); got != accepted {
			t.Fatal(got)
		}
	}
	eventually(t, "all are kept", func() bool {
		listener.mu.Lock()
		defer listener.mu.Unlock()
		n := 0
		for c := range listener.conns {
			if c.served.Load() && !c.active.Load() {
				n++
			}
		}
		return n == 5
	})
	var last net.Conn
	for range 100 {
		last = dial(t, server)
	}
	if got := ask(t, last, "/"); got != accepted {
		t.Errorf("the last of them: %s", got)
	}
	for i, conn := range kept {
		if got := ask(t, conn, "/"); got != accepted {
			t.Errorf("kept connection %d: %s", i, got)
		}
	}
}

// A connection with a request is not closed for a new one.
func TestBusyConnectionsStay(t *testing.T) {
	server, listener, release := bounded(t, 3, nil)
	var busy []net.Conn
	for range 3 {
		conn := dial(t, server)
		busy = append(busy, conn)
		if _, err := io.WriteString(conn, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all serve", func() bool {
		listener.mu.Lock()
		defer listener.mu.Unlock()
		n := 0
		for c := range listener.conns {
			if c.active.Load() {
				n++
			}
		}
		return n == 3
	})
	if got := ask(t, dial(t, server), "/"); got == accepted {
		t.Error("a fourth connection is served")
	}
	release()
	for _, conn := range busy {
		if got := answerOn(conn); got != accepted {
			t.Errorf("a busy connection: %s", got)
		}
	}
	if got := ask(t, dial(t, server), "/"); got != accepted {
		t.Errorf("when there is room again: %s", got)
	}
}

func TestHeadersShareTheBudget(t *testing.T) {
	budget := &Budget{}
	budget.left.Store(100 << 10)
	server, listener, release := bounded(t, 1000, budget)
	large := "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 60<<10)
	first := dial(t, server)
	if _, err := io.WriteString(first, large); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the header is counted", func() bool { return budget.left.Load() < 50<<10 })

	second := dial(t, server)
	if _, err := io.WriteString(second, large); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(second) // the connection may be reset behind the answer
	if !strings.HasPrefix(string(answer), "HTTP/1.1 503 ") || !strings.Contains(string(answer), "\r\nRetry-After: 1\r\n") {
		t.Errorf("the second got %q", answer)
	}
	if got := ask(t, dial(t, server), "/"); got != accepted {
		t.Errorf("a small header: %s", got)
	}
	if _, err := io.WriteString(first, "\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := answerOn(first); got != accepted {
		t.Errorf("the first got %s", got)
	}
	eventually(t, "all is given back", func() bool { return budget.left.Load() == 100<<10 })

	// One that goes away, and one that is cut off.
	if _, err := io.WriteString(first, large); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the header is counted", func() bool { return budget.left.Load() < 50<<10 })
	_ = first.Close()
	eventually(t, "all is given back", func() bool { return budget.left.Load() == 100<<10 })
	release()
	server.CloseClientConnections()
	eventually(t, "no connection is open", func() bool { return listener.open() == 0 })
}

// A client that takes no answers is given up.
func TestWriteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := &conn{Conn: ours, listener: Bound(nil, 1, nil)}
		go func() { _, _ = io.CopyN(io.Discard, theirs, 100) }() // takes 100 bytes and then no more
		for range 10 {
			if _, err := c.Write(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
		}
		if err := c.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := c.Write([]byte("x"))
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < minWrite || took > maxWrite {
			t.Errorf("given up with %v after %v", err, took)
		}
		if err := errors.Join(c.Close(), theirs.Close()); err != nil {
			t.Error(err)
		}
	})
}
