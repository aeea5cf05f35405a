package deliver

import (
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
	"sync/atomic"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

func TestNoResponse(t *testing.T) {
	closed := newSubscriber(t, (*httptest.Server).Start, nil)
	closed.Close()
	reset := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	})
	garbage := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(conn, "what?\r\n\r\n")
		conn.Close()
	})
	hang := newSubscriber(t, (*httptest.Server).Start, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})

	for name, test := range map[string]struct {
		dest  routing.Destination
		error string
	}{
		"refused":            {*closed.dest(), "connection refused"},
		"reset":              {*reset.dest(), "reset"},
		"garbage":            {*garbage.dest(), "malformed HTTP response"},
		"hangs":              {*hang.dest(), "no answer within 200ms"},
		"no URL":             {routing.Destination{URL: "http://a:b:c@:d"}, "is no URL"},
		"relative URL":       {routing.Destination{URL: "/events"}, "must begin with http:// or https://"},
		"other scheme":       {routing.Destination{URL: "ftp://u:secret@a/"}, "ftp://u:xxxxx@a/"},
		"broken certificate": {routing.Destination{URL: "https://a", CACerts: "-"}, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Options{})
			o := c.Send(t.Context(), &test.dest, testEvent(), SendOptions{PreferReply: true, Timeout: 200 * time.Millisecond})
			if o.Status != 0 || o.Err == nil || !strings.Contains(o.Err.Error(), test.error) {
				t.Errorf("%+v, want the error %q", o, test.error)
			}
			if Classify(o) != Retryable {
				t.Error("not retryable")
			}
		})
	}
}

// The end of the caller's context ends the attempt, and is not a timeout.
func TestCancel(t *testing.T) {
	arrived := make(chan struct{})
	s := newSubscriber(t, (*httptest.Server).Start, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	o := newClient(t, Options{}).Send(ctx, s.dest(), testEvent(), SendOptions{})
	if !errors.Is(o.Err, context.Canceled) || strings.Contains(o.Err.Error(), "within") {
		t.Errorf("%+v", o)
	}
}

// drip sends a byte every few milliseconds for as long as it is listened to.
func drip(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(status, "", header...)(w, r)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = io.WriteString(w, "x")
				w.(http.Flusher).Flush()
			}
		}
	}
}

func TestDrip(t *testing.T) {
	t.Run("a reply is bounded by the timeout", func(t *testing.T) {
		s := newSubscriber(t, (*httptest.Server).Start, drip(200, "Ce-Specversion", "1.0"))
		o := newClient(t, Options{DefaultTimeout: 100 * time.Millisecond}).
			Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true})
		if o.Status != 200 || !errors.Is(o.ReplyErr, context.DeadlineExceeded) || o.Took > 5*time.Second {
			t.Errorf("%+v", o)
		}
	})
	for _, status := range []int{202, 500} {
		t.Run(fmt.Sprint(status, " is bounded by the grace"), func(t *testing.T) {
			s := newSubscriber(t, (*httptest.Server).Start, drip(status))
			c := newClient(t, Options{})
			c.grace = 100 * time.Millisecond
			o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true})
			if o.Status != status || o.Err != nil || o.Took > 5*time.Second {
				t.Errorf("%+v", o)
			}
			if status == 500 && !bytes.Contains(o.Body, []byte("x")) {
				t.Errorf("body %q", o.Body)
			}
		})
	}
}

// One connection serves all attempts one after the other, whatever is answered.
func TestConnectionIsKept(t *testing.T) {
	answers := []http.HandlerFunc{
		answer(200, ""), answer(202, "ok"), answer(204, ""), flushed(answer(202, "later")),
		answer(200, `{"specversion":"1.0","id":"2","source":"/s","type":"t"}`, "Content-Type", "application/cloudevents+json"),
		answer(200, "not an event"), answer(404, "nothing here"), answer(302, "", "Location", "/x"),
		answer(500, strings.Repeat("x", 60<<10)), flushed(answer(500, strings.Repeat("x", 60<<10))),
	}
	var n atomic.Int64
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		answers[int(n.Add(1)-1)%len(answers)](w, r)
	})
	c := newClient(t, Options{})
	for range 5 * len(answers) {
		if o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true}); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if got := s.connections.Load(); got != 1 {
		t.Errorf("%d connections", got)
	}
}

// A connection that breaks under a request ends the attempt: the event is not
// sent a second time, which the transport does with requests that may repeat.
func TestExactlyOneAttempt(t *testing.T) {
	var requests atomic.Int64
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if requests.Add(1) > 1 {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}
	})
	c := newClient(t, Options{})
	if o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{}); o.Status != 200 {
		t.Fatalf("%+v", o)
	}
	if o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{}); o.Err == nil {
		t.Errorf("%+v", o)
	}
	if requests.Load() != 2 || s.connections.Load() != 1 {
		t.Errorf("%d requests over %d connections", requests.Load(), s.connections.Load())
	}
}

// A body that is too long to be drained costs its connection and no more.
func TestEndlessErrorBody(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	c := newClient(t, Options{})
	for range 3 {
		o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{})
		if o.Status != 500 || len(o.Body) != MaxBody {
			t.Fatalf("%+v", o)
		}
	}
}

func TestConcurrentSends(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer(200, string(body), "Ce-Specversion", "1.0", "Ce-Id", r.Header.Get("Ce-Id"), "Ce-Source", "/s", "Ce-Type", "t")(w, r)
	})
	c := newClient(t, Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				e := testEvent()
				e.Set("id", fmt.Sprint(i, "-", j))
				e.SetData([]byte(e.ID()))
				o := c.Send(t.Context(), s.dest(), e, SendOptions{PreferReply: true})
				if o.Reply == nil || o.Reply.ID() != e.ID() || string(o.Reply.Data()) != e.ID() {
					t.Errorf("%+v", o)
				}
			}
		})
	}
	wg.Wait()
}
