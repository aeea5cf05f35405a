package http1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The end of the context ends an exchange wherever it is, with the context's
// error, and its connection with it.
func TestContextEnds(t *testing.T) {
	never := func(*peer, func()) {}
	for name, test := range map[string]struct {
		body string
		// until ends the context when it has come so far.
		until func(p *peer, end func())
		read  bool // the header has come
	}{
		"before the header":             {small, func(p *peer, end func()) { p.request(); end() }, false},
		"in the header":                 {small, func(p *peer, end func()) { p.request(); p.say(ok + "A: "); end() }, false},
		"after 1xx":                     {small, func(p *peer, end func()) { p.request(); p.say("HTTP/1.1 100 x\r\n\r\n"); end() }, false},
		"in a body":                     {small, func(p *peer, end func()) { p.request(); p.say(ok + "Content-Length: 9\r\n\r\none") }, true},
		"in a chunk":                    {small, func(p *peer, end func()) { p.request(); p.say(ok + "Transfer-Encoding: chunked\r\n\r\n9\r\none") }, true},
		"in a body to the end":          {small, func(p *peer, end func()) { p.request(); p.say(ok + "\r\none") }, true},
		"large, before the header":      {large, func(p *peer, end func()) { p.request(); end() }, false},
		"huge, never read":              {huge, func(p *peer, end func()) { _, _ = p.in.Peek(1); end() }, false},
		"huge, never read, in the body": {huge, func(p *peer, end func()) { _, _ = p.in.Peek(1); p.say(ok + "Content-Length: 9\r\n\r\none") }, true},
		"at once":                       {small, never, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			s := serve(t, func(p *peer) {
				if p.number > 1 {
					echo(p)
					return
				}
				test.until(p, cancel)
				<-t.Context().Done() // nothing more is read
			})
			c := newClient(t, Options{})
			if name == "at once" {
				time.AfterFunc(20*time.Millisecond, cancel)
			}
			header, body := requestOf(test.body)
			resp, err := c.Do(ctx, s.addr, header, body)
			if err == nil && test.read {
				b := make([]byte, 3)
				if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "one" {
					t.Fatalf("%q, %v", b, err)
				}
				cancel()
				_, err = resp.Body.Read(b)
				resp.Body.Close()
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the body: %v", err)
				}
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, %v", resp, err)
			}
			mustSend(t, c, s, small, small)
			if n := s.connections.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A context that has ended already costs no attempt and no kept connection.
func TestContextHasEnded(t *testing.T) {
	var requests atomic.Int64
	s := serve(t, func(p *peer) {
		for _, more := p.request(); more; _, more = p.request() {
			requests.Add(1)
			p.say(okOne)
		}
	})
	c := newClient(t, Options{})
	mustSend(t, c, s, small, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if g := send(ctx, c, s.addr, small); !errors.Is(g.do, context.Canceled) {
			t.Error(g)
		}
	}
	mustSend(t, c, s, small, "one")
	if r, n := requests.Load(), s.connections.Load(); r != 2 || n != 1 {
		t.Errorf("%d requests over %d connections", r, n)
	}
}

// The error of a deadline is the context's too.
func TestDeadline(t *testing.T) {
	s := serve(t, func(p *peer) { p.request() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if g := send(ctx, newClient(t, Options{}), s.addr, small); !errors.Is(g.do, context.DeadlineExceeded) {
		t.Error(g)
	}
}

// A server that answers without reading a large request is heard, and is not asked
// again over the same connection, in the middle of the request.
func TestAnswerWithoutReading(t *testing.T) {
	for name, says := range map[string]string{
		"kept":      "HTTP/1.1 413 x\r\nContent-Length: 3\r\n\r\none",
		"no body":   "HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n",
		"close":     "HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 3\r\n\r\none",
		"long body": "HTTP/1.1 413 x\r\nContent-Length: 100003\r\n\r\none" + fmt.Sprintf("%100000d", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(p *peer) {
				if p.number > 1 {
					echo(p)
					return
				}
				_, _ = p.in.Peek(1)
				p.say(says)
				<-t.Context().Done()
			})
			c := newClient(t, Options{})
			if g := send(within(t), c, s.addr, huge); g.do != nil || g.read != nil || g.status != 413 {
				t.Error(g)
			}
			mustSend(t, c, s, small, small)
			if n := s.connections.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// The memory of a request is the caller's again when its exchange has ended, also
// where the server has not read it.
func TestRequestIsNotReadAfterwards(t *testing.T) {
	s := serve(t, func(p *peer) {
		_, _ = p.in.Peek(1)
		p.say(okOne)
		<-t.Context().Done()
		if rest, _ := io.ReadAll(p.in); bytes.IndexByte(rest, 0) >= 0 {
			t.Errorf("connection %d has what was written afterwards", p.number)
		}
	})
	c := newClient(t, Options{})
	for range 3 {
		header, body := requestOf(huge)
		resp, err := c.Do(within(t), s.addr, header, body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		clear(body) // the race detector may see another reader
	}
}

// A context that ends in the moment in which its exchange does leaves no
// connection behind that fails the next one.
func TestContextEndsWithItsExchange(t *testing.T) {
	var ends sync.Map
	s := serve(t, func(p *peer) {
		for body, more := p.request(); more; body, more = p.request() {
			if end, found := ends.Load(body); found {
				go end.(context.CancelFunc)()
			}
			p.say(okOne)
		}
	})
	c := newClient(t, Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 250 {
				ctx, cancel := context.WithCancel(within(t))
				body := fmt.Sprint(i, " ", j)
				ends.Store(body, cancel)
				if g := send(ctx, c, s.addr, body); errors.Join(g.do, g.read) != nil && !errors.Is(errors.Join(g.do, g.read), context.Canceled) {
					t.Error(g)
				}
				cancel()
				ends.Delete(body)
				if g := send(within(t), c, s.addr, small); g.body != "one" {
					t.Errorf("the next: %v", g)
				}
			}
		})
	}
	wg.Wait()
}
