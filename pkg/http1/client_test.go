package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a server says, what the client makes of it, and whether the connection
// takes the next request.
func TestResponses(t *testing.T) {
	const chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	for name, test := range map[string]struct {
		says   string
		closes bool
		want   string // status and body, or part of the error
		kept   bool
	}{
		"length":              {okOne, false, "200 one", true},
		"empty":               {ok + "Content-Length: 0\r\n\r\n", false, "200 ", true},
		"204":                 {"HTTP/1.1 204 No Content\r\n\r\n", false, "204 ", true},
		"304 with a length":   {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, "304 ", true},
		"error":               {"HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\nno", false, "500 no", true},
		"chunked":             {chunked + "3\r\none\r\n4;x=y\r\n two\r\n0\r\n\r\n", false, "200 one two", true},
		"chunked and empty":   {chunked + "0\r\n\r\n", false, "200 ", true},
		"trailers":            {chunked + "3\r\none\r\n0\r\nA: b\r\nC: d\r\n\r\n", false, "200 one", true},
		"to the end":          {ok + "\r\none", true, "200 one", false},
		"nothing to the end":  {ok + "\r\n", true, "200 ", false},
		"close":               {ok + "Connection: close\r\nContent-Length: 3\r\n\r\none", false, "200 one", false},
		"close among others":  {ok + "Connection: x, Close\r\nContent-Length: 3\r\n\r\none", false, "200 one", false},
		"close without body":  {"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n", false, "204 ", false},
		"1.0":                 {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none", false, "200 one", false},
		"1.0 to the end":      {"HTTP/1.0 200 OK\r\n\r\none", true, "200 one", false},
		"1.0 kept":            {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\none", false, "200 one", true},
		"100":                 {"HTTP/1.1 100 Continue\r\n\r\n" + okOne, false, "200 one", true},
		"many of 1xx":         {strings.Repeat("HTTP/1.1 102 Processing\r\nA: b\r\n\r\n", 20) + okOne, false, "200 one", true},
		"101":                 {"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, "101 ", false},
		"below 100":           {"HTTP/1.1 099 x\r\nContent-Length: 3\r\n\r\none", false, "99 one", false},
		"more than its body":  {okOne + "HTTP/1.1 200 OK\r\n", false, "200 one", false},
		"204 with a body":     {"HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\none", false, "204 ", false},
		"body breaks off":     {ok + "Content-Length: 4\r\n\r\none", true, "unexpected EOF", false},
		"chunk breaks off":    {chunked + "9\r\none", true, "unexpected EOF", false},
		"chunks break off":    {chunked + "3\r\none\r\n", true, "unexpected EOF", false},
		"trailer breaks off":  {chunked + "3\r\none\r\n0\r\nA:", true, "trailer", false},
		"no length of chunk":  {chunked + "x\r\none\r\n0\r\n\r\n", false, "invalid", false},
		"nothing":             {"", true, "EOF", false},
		"header breaks off":   {ok + "A: b\r\n", true, "unexpected EOF", false},
		"only 1xx":            {"HTTP/1.1 103 x\r\n\r\n", true, "unexpected EOF", false},
		"not HTTP":            {"SSH-2.0-x\r\n\r\n", false, "malformed", false},
		"header is malformed": {ok + "no colon\r\n\r\n", false, "malformed", false},
		"two lengths":         {ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\none", false, "Content-Length", false},
		"unknown encoding":    {ok + "Transfer-Encoding: gzip\r\n\r\n", false, "transfer encoding", false},
	} {
		for size, request := range map[string]string{"small": small, "large": large} {
			t.Run(name+"/"+size, func(t *testing.T) {
				t.Parallel()
				s := serve(t, func(p *peer) {
					for _, more := p.request(); more; _, more = p.request() {
						if p.number > 1 {
							p.say(okOne)
							continue
						}
						p.say(test.says)
						if test.closes {
							_ = p.CloseWrite()
						}
						p.number = 10 // what follows on the first connection
					}
				})
				c := newClient(t, Options{})
				g := send(within(t), c, s.addr, request)
				if err := errors.Join(g.do, g.read); err != nil && !strings.Contains(err.Error(), test.want) ||
					err == nil && fmt.Sprint(g.status, " ", g.body) != test.want {
					t.Errorf("%v, want %q", g, test.want)
				}
				mustSend(t, c, s, small, "one")
				if n := s.connections.Load(); (n == 1) != test.kept {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

func TestTrailers(t *testing.T) {
	s := serve(t, func(p *peer) {
		p.request()
		p.say(ok + "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\nA: b\r\n\r\n")
	})
	header, body := requestOf(small)
	c := newClient(t, Options{})
	resp, err := c.Do(within(t), s.addr, header, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); len(b) > 0 || err != nil || resp.Trailer.Get("A") != "b" {
		t.Errorf("%q, %v, %v", b, err, resp.Trailer)
	}
	for range 2 { // once more does nothing
		if resp.Body.Close(); c.n != 1 || !c.byAddr[s.addr][0].alive() {
			t.Errorf("%d connections are kept, or it is closed", c.n)
		}
	}
}

// A body that its reader leaves before it has seen the end takes the connection
// with it, whether all of it has arrived or what is missing would be taken for the
// next response.
func TestBodyNotReadToItsEnd(t *testing.T) {
	const length, chunked = ok + "Content-Length: 10\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\na\r\n"
	for name, test := range map[string]struct {
		says string
		read []int
	}{
		"length":        {length + "0123456789", []int{0, 4, 9}},
		"chunked":       {chunked + "0123456789\r\n0\r\n\r\n", []int{0, 4, 9}},
		"long":          {ok + "Content-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10_000), []int{0, 4}},
		"on its way":    {length + "0123", []int{0, 4}},
		"chunk to come": {chunked + "0123456789", []int{4, 10}},
		"none yet":      {length, []int{0}},
	} {
		for _, read := range test.read {
			t.Run(fmt.Sprint(name, " ", read), func(t *testing.T) {
				s := serve(t, func(p *peer) {
					for _, more := p.request(); more; _, more = p.request() {
						p.say(test.says)
					}
				})
				c := newClient(t, Options{})
				for range 3 {
					header, body := requestOf(small)
					resp, err := c.Do(within(t), s.addr, header, body)
					if err != nil || resp.StatusCode != 200 {
						t.Fatal(resp, err)
					}
					b := make([]byte, read)
					if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "0123456789"[:read] {
						t.Fatalf("%q, %v", b, err)
					}
					resp.Body.Close()
					resp.Body.Close() // once more does nothing
					if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
						t.Errorf("after Close: %v", err)
					}
				}
				if n := s.connections.Load(); n != 3 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// The bound is of the header to its last byte, of 1xx as well, and not of what
// comes with it.
func TestHeaderLimit(t *testing.T) {
	const limit = 1000
	const early = "HTTP/1.1 103 x\r\n\r\n"
	head := func(size int, start string) string {
		const end = "Content-Length: 5000\r\n\r\n"
		return start + "A: " + strings.Repeat("a", size-len(start)-len(end)-len("A: \r\n")) + "\r\n" + end
	}
	body := strings.Repeat("b", 5000)
	for name, test := range map[string]struct {
		head string
		fits bool
	}{
		"below":           {head(limit-1, ok), true},
		"at":              {head(limit, ok), true},
		"above":           {head(limit+1, ok), false},
		"at, with 1xx":    {head(limit, early+ok), true},
		"above, with 1xx": {head(limit+1, early+ok), false},
		"1xx without end": {strings.Repeat(early, limit), false},
		"a long line":     {ok + "A: " + strings.Repeat("a", 100*limit), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(p *peer) {
				for _, more := p.request(); more; _, more = p.request() {
					p.say(test.head + body)
				}
			})
			c := newClient(t, Options{MaxHeaderBytes: limit})
			for range 2 { // a kept connection has the same bound
				if g := send(within(t), c, s.addr, small); !test.fits && !errors.Is(g.do, errLongHeader) || test.fits && g.body != body {
					t.Error(g)
				}
			}
			if n := s.connections.Load(); (n == 1) != test.fits {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestDialFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if g := send(within(t), newClient(t, Options{}), ln.Addr().String(), small); g.do == nil || !strings.Contains(g.do.Error(), "refused") {
		t.Error(g)
	}
}

// Requests at the same time get their own responses.
func TestConcurrentRequests(t *testing.T) {
	s := serve(t, echo)
	c := newClient(t, Options{MaxIdlePerHost: 4})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 40 {
				body := fmt.Sprint(i, " ", j)
				if j%8 == 0 {
					body += large
				}
				if g := send(within(t), c, s.addr, body); g.body != body {
					t.Error(g)
				}
				if j%10 == 0 {
					c.CloseIdle()
				}
			}
		})
	}
	wg.Wait()
}

// A large request that was read and answered keeps its connection, also if its
// writer has not come to say that it is done.
func TestLargeRequestKeepsItsConnection(t *testing.T) {
	s := serve(t, echo)
	c := newClient(t, Options{})
	start := time.Now()
	for range 100 {
		mustSend(t, c, s, large, large)
	}
	// One in a busy machine may be late.
	if n := s.connections.Load(); n > 3 && time.Since(start) < patience {
		t.Errorf("%d connections", n)
	}
}
