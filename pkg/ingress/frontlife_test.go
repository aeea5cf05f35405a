package ingress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hold makes the broker's stream wait, and returns what tells how many requests
// do and what lets them go on.
func (s *stand) hold(t *testing.T) (waiting *atomic.Int64, release func()) {
	waiting = &atomic.Int64{}
	free := make(chan struct{})
	s.world.broker.before = func(context.Context) error {
		waiting.Add(1)
		<-free
		return nil
	}
	release = sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	return waiting, release
}

// send writes to a connection.
func send(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// rest is all that still comes on a connection.
func rest(t testing.TB, c net.Conn) string {
	t.Helper()
	all, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("no end behind %q", all)
	}
	return string(all)
}

// shutdown stops a stand as a server is stopped.
func (s *stand) shutdown(ctx context.Context) error {
	return errors.Join(s.server.Shutdown(ctx), s.front.Wait(ctx))
}

// Close ends what is idle at once, and what is begun when it is answered.
func TestFrontClose(t *testing.T) {
	s := newStand(t, socket(t), true)
	idle, silent, half := s.open(t), s.open(t), s.open(t)
	send(t, idle, plainPost("x"))
	if got := answerOn(idle); got != accepted {
		t.Fatal(got)
	}
	send(t, half, postLine+"\r\nHost: x\r\n")
	waiting, release := s.hold(t)
	begun, last := s.open(t), s.open(t)
	send(t, begun, plainPost("x")+plainPost("not begun"))
	send(t, last, plainPost("x"))
	eventually(t, "two requests are begun", func() bool { return waiting.Load() == 2 })

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.shutdown(ctx) }()
	for name, c := range map[string]net.Conn{"idle": idle, "silent": silent, "half a header": half} {
		if got := rest(t, c); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := net.Dial("unix", s.listener.Addr().String()); err == nil {
		t.Error("a connection was accepted after Close")
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the answer: %v", err)
	default:
	}
	release()
	for _, c := range []net.Conn{begun, last} {
		if got := theAnswers(rest(t, c)); len(got) != 1 || !strings.HasPrefix(got[0], accepted) {
			t.Errorf("what was begun got %q", got)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := len(s.world.broker.payloads()); n != 3 {
		t.Errorf("%d events are stored, want 3", n)
	}
	if n := s.listener.open(); n > 0 {
		t.Errorf("%d connections are open", n)
	}
}

// Whenever Close comes, all that is stored is answered and all that is answered
// is stored.
func TestFrontCloseStoresNothingUnanswered(t *testing.T) {
	for round := range 30 {
		s := newStand(t, socket(t), true)
		var answered atomic.Int64
		var clients sync.WaitGroup
		for range 8 {
			c := s.open(t)
			clients.Go(func() {
				answers := bufio.NewReader(c)
				for {
					if _, err := io.WriteString(c, plainPost("x")); err != nil {
						return
					}
					resp, err := http.ReadResponse(answers, nil)
					if err != nil {
						return
					}
					resp.Body.Close()
					answered.Add(1)
				}
			})
		}
		eventually(t, "requests are answered", func() bool { return answered.Load() > int64(20*round) })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := s.shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		clients.Wait()
		if stored := len(s.world.broker.payloads()); int64(stored) != answered.Load() {
			t.Fatalf("%d events are stored and %d requests answered", stored, answered.Load())
		}
	}
}

// Wait cuts off what does not end in time.
func TestFrontWaitCutsOff(t *testing.T) {
	s := newStand(t, socket(t), true)
	c := s.open(t)
	text := plainPost(strings.Repeat("b", 2*frontBuffer))
	send(t, c, text[:frontBuffer])
	eventually(t, "a request is begun", func() bool {
		n := 0
		s.listener.each(func(c *conn) {
			if c.active.Load() {
				n++
			}
		})
		return n == 1
	})
	if err := s.server.Shutdown(t.Context()); err != nil { // has none to wait for
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.front.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v", err)
	}
	if got := rest(t, c); strings.Contains(got, " 202 ") {
		t.Errorf("half a body got %q", got)
	}
	if n := len(s.world.broker.payloads()) + s.listener.open(); n > 0 {
		t.Errorf("%d events and connections are there", n)
	}
}

// A connection that goes on to a server which has gone is closed.
func TestFrontHandsOverToNobody(t *testing.T) {
	l := Bound(socket(t), 10, NewBudget(0))
	f := NewFront(l, New(newWorld().gate, Options{}), FrontOptions{ReadTimeout: testRead, IdleTimeout: testIdle})
	s := &stand{listener: l}
	c := s.open(t)
	send(t, c, lines("GET / HTTP/1.1", "Host: x"))
	eventually(t, "it is on its way", func() bool {
		n := 0
		l.each(func(c *conn) {
			if !c.front.Load() {
				n++
			}
		})
		return n == 1
	})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, c); got != "" {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := errors.Join(f.Close(), f.Wait(ctx)); err != nil {
		t.Error(err)
	}
	for range 3 {
		if _, err := f.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	}
}

// What was read of a connection is its own, whoever gets the buffer next.
func TestFrontHandsOverACopy(t *testing.T) {
	l := Bound(socket(t), 100, NewBudget(0))
	f := NewFront(l, New(newWorld().gate, Options{}), FrontOptions{ReadTimeout: testRead, IdleTimeout: testIdle})
	s := &stand{listener: l}
	want := "POST /\n" + strings.Repeat("mine", 200)
	send(t, s.open(t), want)
	handed, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c := s.open(t)
		send(t, c, plainPost(strings.Repeat("other", 200)))
		if got := answerOn(c); got != accepted {
			t.Fatal(got)
		}
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(handed, got); err != nil || string(got) != want {
		t.Errorf("read %q, want %q; %v", got, want, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := errors.Join(handed.Close(), f.Close(), f.Wait(ctx)); err != nil {
		t.Error(err)
	}
}

// A request that makes us panic ends its connection, and nothing else.
func TestFrontPanic(t *testing.T) {
	s := newStand(t, socket(t), true)
	all := s.budget.left.Load()
	var calls atomic.Int64
	s.world.broker.before = func(context.Context) error {
		if calls.Add(1) == 2 {
			panic("BUG: invariant 0: a test")
		}
		return nil
	}
	other := s.open(t)
	for i, x := range []struct{ body, want string }{{"1", accepted}, {strings.Repeat("b", 2*freeBody), "EOF"}, {"3", accepted}} {
		c := s.open(t)
		send(t, c, plainPost(x.body))
		if got := answerOn(c); got != x.want {
			t.Errorf("request %d got %q, want %q", i+1, got, x.want)
		}
	}
	send(t, other, plainPost("x"))
	if got := answerOn(other); got != accepted {
		t.Errorf("another connection got %q", got)
	}
	if log := s.log(); !strings.Contains(log, "BUG: invariant 0: a test") || !strings.Contains(log, "TestFrontPanic") {
		t.Errorf("logged %q", log)
	}
	if left := s.budget.left.Load(); left != all {
		t.Errorf("%d bytes were not given back", all-left)
	}
}

// Who finds no room is told to come back; nothing is held for its answer.
func TestFrontBudget(t *testing.T) {
	s := newStand(t, socket(t), true)
	s.budget.left.Store(freeBody)
	got := s.say(t, plainPost(strings.Repeat("b", frontBody)))
	if !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "\r\nRetry-After: 1\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") {
		t.Errorf("without room got %q", got)
	}
	if got := s.say(t, plainPost("small")); !strings.HasPrefix(got, accepted) {
		t.Errorf("a small one got %q", got)
	}
	s.budget.left.Store(2 * maxPooled) // a buffer of another request may be that large
	if got := s.say(t, plainPost(strings.Repeat("b", frontBody))); !strings.HasPrefix(got, accepted) {
		t.Errorf("with room got %q", got)
	}
	if left := s.budget.left.Load(); left != 2*maxPooled {
		t.Errorf("%d bytes are left, want %d", left, 2*maxPooled)
	}
}

// What goes on to net/http is counted there from its first byte.
func TestFrontHandsOverLargeHeaders(t *testing.T) {
	s := newStand(t, socket(t), true)
	all := s.budget.left.Load()
	c := s.open(t)
	answers := bufio.NewReader(c)
	for range 2 {
		send(t, c, plainPost("x"))
		expect(t, answers, http.StatusAccepted)
		send(t, c, postLine+"\r\nHost: x\r\n"+eventHead+"X: "+strings.Repeat("x", 60<<10))
		eventually(t, "the header is counted", func() bool { return all-s.budget.left.Load() > 40<<10 })
		send(t, c, "\r\n\r\n")
		expect(t, answers, http.StatusAccepted)
		eventually(t, "all is given back", func() bool { return all == s.budget.left.Load() })
	}
	if n := s.handed.Load(); n != 1 {
		t.Errorf("handed over %d times", n)
	}
}

func expect(t *testing.T, answers *bufio.Reader, status int) {
	t.Helper()
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != status {
		t.Fatalf("answered %s, want %d; %v", resp.Status, status, err)
	}
}

// A connection between two requests makes room for a new one, one with a request
// does not.
func TestFrontConnectionsMakeRoom(t *testing.T) {
	s := newStand(t, socket(t), true)
	s.listener.mu.Lock()
	s.listener.limit = 3
	s.listener.mu.Unlock()
	for range 10 {
		c := s.open(t)
		send(t, c, plainPost("x"))
		if got := answerOn(c); got != accepted {
			t.Fatal(got)
		}
	}
	waiting, release := s.hold(t)
	var busy []net.Conn
	for i := range 3 {
		busy = append(busy, s.open(t))
		send(t, busy[i], plainPost("x"))
		eventually(t, fmt.Sprint(i+1, " requests are begun"), func() bool { return waiting.Load() == int64(i+1) })
	}
	fourth := s.open(t)
	_, _ = io.WriteString(fourth, plainPost("x")) // it may be closed already
	if got := rest(t, fourth); got != "" {
		t.Errorf("one too many got %q", got)
	}
	release()
	for i, c := range busy {
		if got := answerOn(c); got != accepted {
			t.Errorf("busy connection %d got %q", i, got)
		}
	}
}
