package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory, on which time is a test's. Before
// each of them Accept fails with the errors.
type pipes struct {
	conns  chan net.Conn
	done   chan struct{}
	errors []error
}

func newPipes(errs ...error) *pipes {
	return &pipes{make(chan net.Conn), make(chan struct{}), errs}
}

func (p *pipes) Accept() (net.Conn, error) {
	if len(p.errors) > 0 {
		err := p.errors[0]
		p.errors = p.errors[1:]
		return nil, err
	}
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// step is a pause of a client, and what it says then.
type step struct {
	pause time.Duration
	text  string
}

// dribbled is a text that comes a byte a second.
func dribbled(text string) (all []step) {
	for _, c := range strings.Split(text, "") {
		all = append(all, step{time.Second, c})
	}
	return all
}

// Clients that keep a Front waiting are cut off, and told why where they can be.
func TestFrontSlowClients(t *testing.T) {
	post, long := plainPost("body"), plainPost(strings.Repeat("b", 1000))
	head := strings.Index(long, "bbb")
	for name, x := range map[string]struct {
		steps []step
		store time.Duration // what storing takes
		ended time.Duration
		want  []string
	}{
		"says nothing":                  {nil, 0, testRead, nil},
		"a header without end":          {dribbled(long[:head-2]), 0, testRead, []string{"400"}},
		"a header that comes in time":   {append(dribbled(post[:50]), step{0, post[50:]}), 0, 50*time.Second + testIdle, []string{"202"}},
		"a body without end":            {append([]step{{0, long[:head]}}, dribbled(long[head:])...), 0, testRead, []string{"408"}},
		"a body that stops":             {[]step{{0, post[:len(post)-1]}}, 0, testRead, []string{"408"}},
		"a header and a body":           {append(append(dribbled(post[:50]), step{0, long[50:head]}), dribbled(long[head:])...), 0, testRead, []string{"408"}},
		"idle after a request":          {[]step{{0, post}}, 0, testIdle, []string{"202"}},
		"idle between":                  {[]step{{0, post}, {100 * time.Second, post}}, 0, 100*time.Second + testIdle, []string{"202", "202"}},
		"a line end between":            {[]step{{0, post}, {100 * time.Second, "\r\n"}}, 0, testIdle, []string{"202"}},
		"a second header without end":   {append([]step{{0, post}, {100 * time.Second, post[:20]}}, dribbled(long[20:])...), 0, 100*time.Second + testRead, []string{"202", "400"}},
		"a second body without end":     {append([]step{{0, post}, {100 * time.Second, long[:head]}}, dribbled(long[head:])...), 0, 100*time.Second + testRead, []string{"202", "408"}},
		"a second body, with its first": {append([]step{{0, post + long[:head]}}, dribbled(long[head:])...), 0, testRead, []string{"202", "408"}},
		"a store that takes its time":   {[]step{{0, post}, {0, post}}, 10 * time.Minute, 20*time.Minute + testIdle, []string{"202", "202"}},
		"LF alone":                      {[]step{{0, strings.ReplaceAll(strings.Replace(post, "Host", "Connection: close\r\nHost", 1), "\r\n", "\n")}}, 0, 0, []string{"202"}},
		"not for a Front":               {[]step{{0, "GET / HTTP/1.1\r\nHost: x\r\n"}}, 0, testRead, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				s := newStand(t, l, true)
				s.world.broker.before = func(context.Context) error { time.Sleep(x.store); return nil }
				c := l.dial()
				begun := time.Now()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for _, step := range x.steps {
						time.Sleep(step.pause)
						if _, err := io.WriteString(c, step.text); err != nil {
							return
						}
					}
				}()
				got, err := io.ReadAll(c)
				took := time.Since(begun)
				if err != nil && !errors.Is(err, io.ErrClosedPipe) {
					t.Error(err)
				}
				_ = c.Close()
				<-sent
				if got := statuses(theAnswers(string(got))); took != x.ended || !slices.Equal(got, x.want) {
					t.Errorf("ended after %v with %q, want %v with %q", took, got, x.ended, x.want)
				}
			})
		})
	}
}

// A client that takes no answer holds nothing, and is given up.
func TestFrontAnswerNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		s := newStand(t, l, true)
		all := s.budget.left.Load()
		c := l.dial()
		send(t, c, plainPost(strings.Repeat("b", 2*freeBody)))
		synctest.Wait()
		if left := s.budget.left.Load(); left != all {
			t.Errorf("%d bytes are held for an answer", all-left)
		}
		if n := len(s.world.broker.payloads()); n != 1 {
			t.Errorf("%d events are stored", n)
		}
		time.Sleep(maxWrite + time.Second)
		if n := s.listener.open(); n > 0 {
			t.Error("the connection is open still")
		}
		_ = c.Close()
	})
}

// halfPipe is a connection in memory of which one side can be closed, for its
// server.
type halfPipe struct{ net.Conn }

func (halfPipe) CloseWrite() error { return nil }

// Who is refused while it sends may go on for a while, so that it sees why: closed
// at once, its connection would be reset.
func TestFrontLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		s := newStand(t, l, true)
		s.budget.left.Store(0)
		c, theirs := net.Pipe()
		l.conns <- halfPipe{theirs}
		go func() { _, _ = io.WriteString(c, plainPost(strings.Repeat("b", 2*freeBody))) }() // ends with the connection
		begun := time.Now()
		got, err := io.ReadAll(c)
		if took := time.Since(begun); err != nil || took != lingering || !strings.HasPrefix(string(got), "HTTP/1.1 503 ") {
			t.Errorf("got %q after %v, %v", got, took, err)
		}
		_ = c.Close()
	})
	synctest.Test(t, func(t *testing.T) { // and no more than so much
		l := newPipes()
		s := newStand(t, l, true)
		s.budget.left.Store(0)
		c, theirs := net.Pipe()
		l.conns <- halfPipe{theirs}
		go func() { _, _ = io.Copy(io.Discard, c) }()
		send(t, c, plainPost(strings.Repeat("b", 2*freeBody)))
		n, err := io.Copy(c, strings.NewReader(strings.Repeat("b", 2*lingeringMost)))
		if !errors.Is(err, io.ErrClosedPipe) || n > lingeringMost+64<<10 {
			t.Errorf("%d bytes were still read, %v", n, err)
		}
		_ = c.Close()
	})
}

// Errors of Accept that go away are waited out and told; others end the server.
func TestFrontAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &net.OpError{Op: "accept", Err: syscall.EMFILE}
		l := newPipes(full, full, full)
		s := newStand(t, l, true)
		begun := time.Now()
		c := l.dial()
		if took := time.Since(begun); took != 35*time.Millisecond {
			t.Errorf("accepts again after %v", took)
		}
		go func() { _, _ = io.WriteString(c, plainPost("x")) }() // the answer shows whether it came in
		if got := answerOn(c); got != accepted {
			t.Error(got)
		}
		if n := strings.Count(s.log(), "too many open files"); n != 3 {
			t.Errorf("told %d times, want 3", n)
		}
		_ = c.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the network has gone")
		f := NewFront(Bound(newPipes(gone), 1, nil), New(newWorld().gate, Options{}), FrontOptions{ReadTimeout: testRead, IdleTimeout: testIdle})
		if _, err := f.Accept(); !errors.Is(err, gone) {
			t.Errorf("Accept: %v", err)
		}
		if err := errors.Join(f.Close(), f.Wait(t.Context())); err != nil {
			t.Error(err)
		}
	})
}
