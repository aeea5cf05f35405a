package ingress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

func TestFill(t *testing.T) {
	budget := NewBudget(0)
	all := budget.left.Load()
	for _, n := range []int{0, 1, 511, 512, freeBody - 1, freeBody, freeBody + 1, 2 * freeBody, 5*freeBody + 3, 3 * maxPooled} {
		want := bytes.Repeat([]byte("abc"), n/3+1)[:n]
		for _, size := range []int64{int64(n), -1} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "EOF with data": iotest.DataErrReader,
			} {
				for _, likely := range []int64{int64(n), int64(n) + 1, 0} {
					b := newBody(budget)
					b.bytes = b.small
					if err := b.fill(wrap(bytes.NewReader(want)), size, likely); err != nil || !bytes.Equal(b.bytes, want) {
						t.Errorf("%d bytes, %s, size %d: %d bytes and %v", n, name, size, len(b.bytes), err)
					}
					if taken := all - budget.left.Load(); n <= freeBody/2 && taken > 0 || n > freeBody && taken < int64(n) || taken > max(maxPooled, 2*int64(n)) {
						t.Errorf("%d bytes, %s, size %d: %d bytes taken of the budget", n, name, size, taken)
					}
					b.release()
				}
			}
		}
		b := newBody(budget)
		b.bytes = b.small
		if err := b.fill(bytes.NewReader(want), int64(n)+1, int64(n)+1); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, one missing: %v", n, err)
		}
		b.release()
	}
	if left := budget.left.Load(); left != all {
		t.Errorf("%d bytes were not given back", all-left)
	}
}

// A Content-Length is a claim: memory comes with the bytes.
func TestFillTrustsNoLength(t *testing.T) {
	b := newBody(NewBudget(0))
	defer b.release()
	b.bytes = b.small
	if err := b.fill(strings.NewReader("x"), 1<<40, 1<<40); !errors.Is(err, io.ErrUnexpectedEOF) || cap(b.bytes) > freeBody {
		t.Errorf("got %v and a buffer of %d bytes", err, cap(b.bytes))
	}
}

// Large bodies share the budget; who finds no room is told to come back, and
// small ones always find some.
func TestBudget(t *testing.T) {
	world := newWorld()
	budget := NewBudget(testBudgetBody)
	server := httptest.NewServer(New(world.gate, Options{MaxBodyBytes: testBudgetBody, Budget: budget}))
	t.Cleanup(server.Close)
	all := budget.left.Load()
	head := "POST /ns/default HTTP/1.1\r\nHost: x\r\n" + strings.ReplaceAll(binary, "\n", "\r\n") + "\r\n"
	large := head + fmt.Sprintf("Content-Length: %d\r\n\r\n", testBudgetBody) + strings.Repeat("x", testBudgetBody-1)

	var held []net.Conn
	for budget.left.Load() > freeBody {
		conn := dial(t, server)
		held = append(held, conn)
		before := budget.left.Load()
		if _, err := io.WriteString(conn, large); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); before-budget.left.Load() < testBudgetBody; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d large bodies are under way, and %d bytes of the budget are left", len(held), budget.left.Load())
			}
		}
	}
	if len(held) != 4 {
		t.Errorf("there is room for %d large bodies, want 4", len(held))
	}
	got := raw(t, server, head+fmt.Sprintf("Content-Length: %d\r\n\r\n", 2*freeBody)+strings.Repeat("x", 2*freeBody))
	if !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "Retry-After: 1\r\n") || !strings.Contains(got, "under way") {
		t.Errorf("one too many got %q", got)
	}
	if got := raw(t, server, head+"Content-Length: 4096\r\n\r\n"+strings.Repeat("x", 4096)); !strings.HasPrefix(got, "HTTP/1.1 202") {
		t.Errorf("a small one got %q", got)
	}
	for _, conn := range held[1:] {
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
		status, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(status, "HTTP/1.1 202") {
			t.Errorf("one that was held got %q, %v", status, err)
		}
	}
	held[0].Close()
	for deadline := time.Now().Add(10 * time.Second); budget.left.Load() != all; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes were not given back", all-budget.left.Load())
		}
	}
	if n := len(world.broker.payloads()); n != 4 {
		t.Errorf("%d events were stored, want 4", n)
	}
}

// testBudgetBody makes the budget four of the largest bodies.
const testBudgetBody = 17 << 20

func dial(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	return conn
}

// raw sends bytes to a server, closes its side of the connection and returns
// all that comes back.
func raw(t *testing.T, server *httptest.Server, text string) string {
	t.Helper()
	conn := dial(t, server)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// What does not come in whole is never stored, and never answered with 2xx.
func TestBrokenBodies(t *testing.T) {
	world := newWorld()
	server := httptest.NewServer(New(world.gate, Options{MaxBodyBytes: testBody}))
	defer server.Close()
	head := "POST /ns/default HTTP/1.1\r\nHost: x\r\n" + strings.ReplaceAll(binary, "\n", "\r\n") + "\r\n"
	for name, x := range map[string]struct{ text, want string }{
		"cut off":                {head + "Content-Length: 10\r\n\r\nhalf", "500"},
		"chunks cut off":         {head + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "500"},
		"no chunks":              {head + "Transfer-Encoding: chunked\r\n\r\nhalf", "500"},
		"no chunk size":          {head + "Transfer-Encoding: chunked\r\n\r\nhalf\r\n", "400"},
		"claims too much":        {head + "Content-Length: 99999999\r\n\r\nhalf", "413"},
		"chunks grow too large":  {head + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("x", 1001) + "\r\n0\r\n\r\n", "413"},
		"chunks without an end":  {head + "Transfer-Encoding: chunked\r\n\r\nfff\r\n" + strings.Repeat("x", 1100), "413"},
		"negative length":        {head + "Content-Length: -1\r\n\r\n", "400"},
		"two lengths":            {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400"},
		"a header twice":         {head + "ce-id: 2\r\nContent-Length: 0\r\n\r\n", "400"},
		"a path that is no path": {strings.Replace(head, "/ns/default", "ns/default", 1) + "Content-Length: 0\r\n\r\n", "400"},
	} {
		got := raw(t, server, x.text)
		if !strings.HasPrefix(got, "HTTP/1.1 "+x.want) {
			t.Errorf("%s: got %q, want %s", name, got, x.want)
		}
	}
	if n := len(world.broker.payloads()); n > 0 {
		t.Errorf("%d events were stored", n)
	}
	got := raw(t, server, head+"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n5\r\n time\r\n0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 202") || !strings.Contains(got, "Content-Length: 0\r\n") {
		t.Fatalf("chunks: got %q", got)
	}
	if data := string(world.broker.events(t)[0].Data()); data != "half time" {
		t.Errorf("stored %q", data)
	}
}

// The answer waits for the store.
func TestAnswerWaitsForTheStore(t *testing.T) {
	world := newWorld()
	entered, durable := make(chan struct{}), make(chan struct{})
	makeDurable := sync.OnceFunc(func() { close(durable) })
	world.broker.before = func(ctx context.Context) error {
		close(entered)
		<-durable
		return nil
	}
	server := httptest.NewServer(New(world.gate, Options{}))
	defer server.Close()
	defer makeDurable()
	answered := make(chan int, 1)
	go func() {
		r, _ := http.NewRequest(http.MethodPost, server.URL+"/ns/default", strings.NewReader("x"))
		for line := range strings.Lines(binary) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header.Set(name, value)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	select {
	case <-entered:
	case status := <-answered:
		t.Fatalf("answered %d before the event was handed to the store", status)
	}
	select {
	case status := <-answered:
		t.Fatalf("answered %d before the event was durable", status)
	default:
	}
	makeDurable()
	if status := <-answered; status != http.StatusAccepted {
		t.Errorf("answered %d", status)
	}
}
