package ingress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestReadInto(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, firstRead - 1, firstRead, firstRead + 1, 5 * firstRead} {
		want := bytes.Repeat([]byte("abc"), n/3+1)[:n]
		for _, size := range []int64{int64(n), -1} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "EOF with data": iotest.DataErrReader,
			} {
				buf := make([]byte, 0, 8)
				if err := readInto(&buf, wrap(bytes.NewReader(want)), size); err != nil || !bytes.Equal(buf, want) {
					t.Errorf("%d bytes, %s, size %d: %d bytes and %v", n, name, size, len(buf), err)
				}
			}
		}
		var buf []byte
		if err := readInto(&buf, bytes.NewReader(want), int64(n)+1); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, one missing: %v", n, err)
		}
	}
}

// A Content-Length is a claim: memory comes with the bytes.
func TestReadIntoTrustsNoLength(t *testing.T) {
	var buf []byte
	if err := readInto(&buf, strings.NewReader("x"), 1<<40); !errors.Is(err, io.ErrUnexpectedEOF) || cap(buf) > firstRead {
		t.Errorf("got %v and a buffer of %d bytes", err, cap(buf))
	}
}

// raw sends bytes to a server, closes its side of the connection and returns
// all that comes back.
func raw(t *testing.T, server *httptest.Server, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
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
