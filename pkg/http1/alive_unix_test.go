//go:build unix

package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// What a peer does with idle connections takes them out of use and costs no
// attempt, however many they are.
func TestPeerOfIdleConnections(t *testing.T) {
	for name, test := range map[string]struct {
		does func(*peer)
		kept bool
	}{
		"nothing":         {func(*peer) {}, true},
		"closes":          {func(p *peer) { p.Close() }, false},
		"closes its half": {func(p *peer) { _ = p.CloseWrite() }, false},
		"resets":          {func(p *peer) { _ = p.SetLinger(0); p.Close() }, false},
		"says something":  {func(p *peer) { p.say("HTTP/1.1 408 Request Timeout\r\n\r\n") }, false},
		"answers again":   {func(p *peer) { p.say(okOne) }, false},
		"says a byte":     {func(p *peer) { p.say("\n") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 3
			idle := make(chan struct{})
			s := serve(t, func(p *peer) {
				p.request()
				p.say(okOne)
				if p.number > n {
					return
				}
				<-idle
				if test.does(p); test.kept {
					p.request()
					p.say(okOne)
				}
			})
			c := newClient(t, Options{})
			useAtOnce(t, c, s, n)
			close(idle)
			for _, conn := range c.byAddr[s.addr] {
				if !test.kept {
					waitReadable(t, conn)
				}
			}
			if c.n != n {
				t.Fatalf("%d idle connections", c.n)
			}
			mustSend(t, c, s, small, "one")
			if got := s.connections.Load(); (got == n) != test.kept {
				t.Errorf("%d connections", got)
			}
		})
	}
}

// useAtOnce leaves n connections idle.
func useAtOnce(t *testing.T, c *Client, s *server, n int) {
	header, body := requestOf(small)
	resp, err := c.Do(within(t), s.addr, header, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() // until then, its connection is in use
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	if n > 1 {
		useAtOnce(t, c, s, n-1)
	}
}

// waitReadable waits until the peer's bytes, or its end, are there.
func waitReadable(t *testing.T, c *conn) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var b [1]byte
		nothing := false
		if err := c.raw.Control(func(fd uintptr) {
			_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
			nothing = err == syscall.EAGAIN
		}); err != nil {
			t.Fatal(err)
		}
		if !nothing {
			return
		}
	}
	t.Fatal("the peer does nothing")
}

// A listener that accepts nothing, and whose queue is full, leaves those who dial
// waiting.
func TestContextEndsWhileDialing(t *testing.T) {
	addr := fullListener(t)
	ctx, cancel := context.WithCancel(within(t))
	start := time.Now()
	time.AfterFunc(20*time.Millisecond, cancel)
	if g := send(ctx, newClient(t, Options{}), addr, small); !errors.Is(g.do, context.Canceled) || time.Since(start) > patience/2 {
		t.Errorf("canceled: %v after %v", g, time.Since(start))
	}
	g := send(within(t), newClient(t, Options{DialTimeout: 20 * time.Millisecond}), addr, small)
	if timeout := net.Error(nil); !errors.As(g.do, &timeout) || !timeout.Timeout() {
		t.Errorf("dial timeout: %v", g)
	}
}

func fullListener(t *testing.T) (addr string) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill up")
	return ""
}
