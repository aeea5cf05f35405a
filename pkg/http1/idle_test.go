package http1

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// closing is a connection that says whether it was closed.
type closing struct {
	net.Conn
	closed atomic.Bool
}

func (c *closing) Close() error {
	if c.closed.Swap(true) {
		panic("closed twice")
	}
	return nil
}

// idleOf gives the client an idle connection.
func idleOf(c *Client, addr string) *closing {
	made := &closing{}
	c.put(newConn(made, addr))
	return made
}

func wantClosed(t *testing.T, want bool, conns ...*closing) {
	t.Helper()
	for i, c := range conns {
		if c.closed.Load() != want {
			t.Errorf("connection %d: closed is %v", i, !want)
		}
	}
}

// An idle connection lives as long as it was told and at most twice that, from
// when it became idle.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Minute
		c := New(Options{IdleTimeout: timeout})
		first := idleOf(c, "a:1")
		time.Sleep(timeout / 2)
		second, other := idleOf(c, "a:1"), idleOf(c, "b:1")
		time.Sleep(timeout/2 - 1)
		synctest.Wait()
		wantClosed(t, false, first, second, other)
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		wantClosed(t, true, first)
		wantClosed(t, false, second, other)
		time.Sleep(2*timeout - 2)
		synctest.Wait()
		wantClosed(t, true, second, other)
		if c.n != 0 || len(c.byAddr) != 0 || c.sweep != nil {
			t.Errorf("%d connections, %v, timer %v", c.n, c.byAddr, c.sweep)
		}

		// And again, after there were none.
		third := idleOf(c, "a:1")
		time.Sleep(timeout - 1)
		wantClosed(t, false, third)
		time.Sleep(timeout + 1)
		synctest.Wait()
		wantClosed(t, true, third)
	})
}

// One that is used again and again is not closed; those that are too many are.
func TestUsedConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{IdleTimeout: time.Minute})
		spare, used := idleOf(c, "a:1"), idleOf(c, "a:1")
		for range 10 {
			time.Sleep(20 * time.Second)
			taken := c.take("a:1")
			if taken == nil || taken.Conn != net.Conn(used) {
				t.Fatal("not the one that was used last")
			}
			c.put(taken)
		}
		synctest.Wait()
		wantClosed(t, false, used)
		wantClosed(t, true, spare)
		c.CloseIdle()
	})
}

func TestIdleBounds(t *testing.T) {
	c := New(Options{MaxIdlePerHost: 2, MaxIdle: 3})
	a := []*closing{idleOf(c, "a:1"), idleOf(c, "a:1"), idleOf(c, "a:1")}
	b := []*closing{idleOf(c, "b:1"), idleOf(c, "b:1")}
	wantClosed(t, false, a[0], a[1], b[0])
	wantClosed(t, true, a[2], b[1])
	if c.take("b:1") == nil || c.take("b:1") != nil {
		t.Error("b has one")
	}
	wantClosed(t, false, idleOf(c, "c:1")) // in the place of b's
	c.CloseIdle()
	wantClosed(t, true, a[0], a[1])
	wantClosed(t, false, b[0]) // in use
	if c.n != 0 || c.sweep != nil || c.take("a:1") != nil {
		t.Errorf("%d connections, timer %v", c.n, c.sweep)
	}
}

// Whoever takes, keeps and closes at the same time: no connection has two owners,
// is closed twice, or is lost.
func TestIdleRaces(t *testing.T) {
	c := New(Options{IdleTimeout: time.Microsecond, MaxIdlePerHost: 8, MaxIdle: 12})
	var made sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			addr := fmt.Sprint("h:", i%3)
			for j := range 500 {
				taken := c.take(addr)
				if taken == nil {
					fake := &closing{}
					made.Store(fake, true)
					taken = newConn(fake, addr)
				}
				if taken.addr != addr || taken.Conn.(*closing).closed.Load() {
					t.Error("it is another's, or closed")
				}
				taken.left = int64(j) // a second owner is a race
				c.put(taken)
				if j%50 == 0 {
					c.CloseIdle()
				}
			}
		})
	}
	wg.Wait()
	c.CloseIdle()
	deadline := time.Now().Add(patience) // of a sweep that is not done yet
	for fake := range made.Range {
		for !fake.(*closing).closed.Load() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		wantClosed(t, true, fake.(*closing))
	}
	if c.n != 0 || len(c.byAddr) != 0 {
		t.Errorf("%d connections, %v", c.n, c.byAddr)
	}
}

// An exchange that is under way when the idle connections are closed goes on, and
// its connection is kept and swept like any other.
func TestCloseIdleLeavesExchanges(t *testing.T) {
	proceed := make(chan struct{})
	s := serve(t, func(p *peer) {
		p.request()
		p.say(ok + "Content-Length: 6\r\n\r\none")
		<-proceed
		p.say("two")
	})
	c := newClient(t, Options{IdleTimeout: 10 * time.Millisecond})
	header, body := requestOf(small)
	resp, err := c.Do(within(t), s.addr, header, body)
	if err != nil {
		t.Fatal(err)
	}
	c.CloseIdle()
	close(proceed)
	if b, err := io.ReadAll(resp.Body); string(b) != "onetwo" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	resp.Body.Close()
	// The server of the test waits for the sweep.
}
