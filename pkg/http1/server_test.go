package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every wait of the tests.
const patience = 10 * time.Second

// peer is the server's end of a connection.
type peer struct {
	*net.TCPConn
	in *bufio.Reader
	// number counts the server's connections, from 1.
	number int64
}

// request reads a whole request and returns its body; false is the end of the
// connection.
func (p *peer) request() (body string, ok bool) {
	r, err := http.ReadRequest(p.in)
	if err != nil {
		return "", false
	}
	b, err := io.ReadAll(r.Body)
	return string(b), err == nil
}

func (p *peer) say(s string) { _, _ = io.WriteString(p, s) }

// server answers on a loopback address.
type server struct {
	addr        string
	connections atomic.Int64
}

// serve runs handle for each connection. When the test ends, the client must have
// closed all of them.
func serve(t testing.TB, handle func(*peer)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			p := &peer{c.(*net.TCPConn), bufio.NewReader(c), s.connections.Add(1)}
			wg.Go(func() {
				defer c.Close()
				handle(p)
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("connection %d was not closed", p.number)
				}
			})
		}
	})
	return s
}

// newClient returns a client whose idle connections are closed when the test
// ends. It is made after the test's server, which waits for that.
func newClient(t testing.TB, o Options) *Client {
	c := New(o)
	t.Cleanup(c.CloseIdle)
	return c
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// requestOf returns the header that fits a body.
func requestOf(body string) (header, b []byte) {
	return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", len(body)), []byte(body)
}

// small and large are bodies that are written before the response is read, and
// meanwhile. The buffers of a connection do not hold huge.
var (
	small = "event"
	large = strings.Repeat("event", 40<<10/5)
	huge  = strings.Repeat("event", 32<<20/5)
)

// got is what came of an exchange.
type got struct {
	status int
	body   string
	// do and read are the errors of Do and of reading the body.
	do, read error
}

// send makes a whole exchange.
func send(ctx context.Context, c *Client, addr, body string) got {
	header, b := requestOf(body)
	resp, err := c.Do(ctx, addr, header, b)
	if err != nil {
		return got{do: err}
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return got{status: resp.StatusCode, body: string(read), read: err}
}

func (g got) String() string {
	return fmt.Sprintf("%d %.40q (%d bytes), %v, %v", g.status, g.body, len(g.body), g.do, g.read)
}

// mustSend expects a response with a body that was read to its end.
func mustSend(t *testing.T, c *Client, s *server, body, want string) {
	t.Helper()
	if g := send(within(t), c, s.addr, body); g.do != nil || g.read != nil || g.status != 200 || g.body != want {
		t.Fatalf("%v, want %q", g, want)
	}
}

const (
	ok    = "HTTP/1.1 200 OK\r\n"
	okOne = ok + "Content-Length: 3\r\n\r\none"
)

// echo answers every request with its body.
func echo(p *peer) {
	for body, more := p.request(); more; body, more = p.request() {
		p.say(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, len(body), body))
	}
}
