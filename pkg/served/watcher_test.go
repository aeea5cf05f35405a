package served_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

var (
	orders = routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: "orders"}
	jobs   = routing.StreamName{Kind: routing.Channel, Namespace: "shop", Name: "jobs"}
)

func route(id string) *routing.Route {
	return &routing.Route{ID: id, Kind: "Trigger", Namespace: "shop", Name: id, Stream: orders}
}

// serving is a route as a Board shows it.
func serving(r *routing.Route, problem string) map[string]served.Route {
	return map[string]served.Route{r.ID: {Fingerprint: r.Fingerprint(), Problem: problem}}
}

// link is the network between a Watcher and a data plane: nobody is there
// while handler is nil.
type link struct {
	mu      sync.Mutex
	handler http.Handler
	hangs   bool
	asked   atomic.Int64
}

func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	l.asked.Add(1)
	l.mu.Lock()
	handler, hangs := l.handler, l.hangs
	l.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if handler == nil {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func (l *link) to(h http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handler, l.hangs = h, false
}

// watch is a Watcher that runs, and what it has told.
type watch struct {
	*served.Watcher
	*link
	t *testing.T

	mu      sync.Mutex
	changes []served.Change
}

// inWatch runs a test where time passes when all wait. Nobody is there yet.
func inWatch(t *testing.T, f func(t *testing.T, w *watch)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watch{link: &link{}, t: t}
		w.Watcher = served.NewWatcher(served.WatcherOptions{
			URL: "http://data-plane:9090", Client: &http.Client{Transport: w.link},
			Changed: func(c served.Change) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.changes = append(w.changes, c)
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		defer running.Wait()
		defer stop()
		f(t, w)
	})
}

// told returns what has been told since the last call, in a few words.
func (w *watch) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, c := range w.changes {
		if c.All {
			words = append(words, "all")
		}
		for _, s := range c.Streams {
			words = append(words, s.String())
		}
		for _, r := range c.Routes {
			words = append(words, r.Stream.Name+"."+r.ID)
		}
		for _, s := range c.Removed {
			words = append(words, "removed "+s.String())
		}
	}
	w.changes = nil
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (w *watch) wantTold(want string) {
	w.t.Helper()
	if got := w.told(); got != want {
		w.t.Errorf("it told %q, want %q", got, want)
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want(t *testing.T, got served.Verdict, state served.State, reason string) {
	t.Helper()
	if got.State != state || !strings.Contains(got.Reason, reason) {
		t.Errorf("the verdict is %d %q, want %d with %q", got.State, got.Reason, state, reason)
	}
}

func TestVerdicts(t *testing.T) {
	inWatch(t, func(t *testing.T, w *watch) {
		b := served.NewBoard()
		mistaken := route("mistaken")
		routes := serving(route("a"), "")
		routes[mistaken.ID] = served.Route{Fingerprint: mistaken.Fingerprint(), Problem: "filter: no such function"}
		b.Publish(oneStream("u", routes), map[string]string{jobs.String(): "j"})
		w.to(b.Handler())
		pass(time.Second)
		changed := route("a")
		changed.MaxInFlight = 7
		want(t, w.Stream(orders, "u"), served.Serving, "")
		want(t, w.Stream(orders, "other"), served.Pending, "an earlier object")
		want(t, w.Stream(jobs, "j"), served.Pending, "does not take events")
		want(t, w.Route("u", route("a")), served.Serving, "")
		want(t, w.Route("other", route("a")), served.Pending, "an earlier object")
		want(t, w.Route("u", changed), served.Pending, "before the last change")
		want(t, w.Route("u", route("b")), served.Pending, "does not deliver")
		want(t, w.Route("u", mistaken), served.Failed, "filter: no such function")
		for uid, removed := range map[string]bool{"j": true, "other": false, "": false} {
			if w.Removed(jobs, uid) != removed {
				t.Errorf("Removed with the UID %q is not %v", uid, removed)
			}
		}
		if w.Removed(orders, "u") {
			t.Error("what is served is removed")
		}
	})
}

func TestChanges(t *testing.T) {
	inWatch(t, func(t *testing.T, w *watch) {
		b := served.NewBoard()
		step := func(streams map[string]served.Stream, removed map[string]string, want string) {
			t.Helper()
			b.Publish(streams, removed)
			pass(time.Second)
			w.wantTold(want)
		}
		b.Publish(nil, nil)
		w.to(b.Handler())
		pass(time.Second)
		w.wantTold("all")
		step(oneStream("u", nil), nil, "broker/shop/orders")
		step(oneStream("u", serving(route("a"), "")), nil, "orders.a")
		step(oneStream("u", serving(route("a"), "")), nil, "")
		step(oneStream("u", serving(route("a"), "p")), nil, "orders.a")
		step(oneStream("u", serving(route("b"), "")), nil, "orders.a orders.b")
		step(oneStream("v", serving(route("b"), "")), nil, "broker/shop/orders orders.b")
		step(nil, map[string]string{orders.String(): "v"}, "broker/shop/orders orders.b removed broker/shop/orders")
		step(nil, map[string]string{orders.String(): "w"}, "removed broker/shop/orders")
		step(map[string]served.Stream{"no name": {}}, nil, "removed broker/shop/orders")
		pass(time.Hour)
		w.wantTold("")
	})
}

// Changes in a row are asked for together, and all of them are told.
func TestManyChanges(t *testing.T) {
	inWatch(t, func(t *testing.T, w *watch) {
		b := served.NewBoard()
		b.Publish(nil, nil)
		w.to(b.Handler())
		pass(time.Second)
		w.wantTold("all")
		asked := w.asked.Load()
		streams := oneStream("u", map[string]served.Route{})
		for i := range 1000 {
			next := oneStream("u", map[string]served.Route{})
			for id, r := range streams[orders.String()].Routes {
				next[orders.String()].Routes[id] = r
			}
			next[orders.String()].Routes[fmt.Sprint(i)] = served.Route{Fingerprint: "f"}
			b.Publish(next, nil)
			streams = next
			time.Sleep(time.Millisecond)
		}
		pass(time.Second)
		if told := strings.Fields(w.told()); len(told) != 1001 {
			t.Errorf("%d changes were told, want the stream and 1000 routes", len(told))
		}
		if n := w.asked.Load() - asked; n > 30 {
			t.Errorf("it asked %d times in two seconds", n)
		}
	})
}

// Until it has learned something a Watcher says nothing, but not for ever.
func TestNobodyThereAtFirst(t *testing.T) {
	inWatch(t, func(t *testing.T, w *watch) {
		pass(14 * time.Second)
		want(t, w.Stream(orders, "u"), served.Unknown, "")
		want(t, w.Route("u", route("a")), served.Unknown, "")
		w.wantTold("")
		pass(2 * time.Second)
		want(t, w.Stream(orders, "u"), served.Away, "connection refused")
		want(t, w.Route("u", route("a")), served.Away, "connection refused")
		w.wantTold("all")
		if n := w.asked.Load(); n < 7 || n > 20 {
			t.Errorf("it asked %d times in 16s", n)
		}
		b := served.NewBoard()
		w.to(b.Handler()) // it starts, and says so
		pass(time.Minute)
		want(t, w.Stream(orders, "u"), served.Away, "connection refused")
		w.wantTold("")
		b.Publish(oneStream("u", nil), nil)
		pass(3 * time.Second)
		want(t, w.Stream(orders, "u"), served.Serving, "")
		w.wantTold("all")
	})
}

// What a data plane said holds through a restart, whose first word decides.
func TestRestart(t *testing.T) {
	inWatch(t, func(t *testing.T, w *watch) {
		b := served.NewBoard()
		b.Publish(oneStream("u", serving(route("a"), "")), nil)
		w.to(b.Handler())
		pass(20 * time.Second)
		w.wantTold("all")
		b.Close()
		w.to(nil)
		pass(10 * time.Second)
		want(t, w.Route("u", route("a")), served.Serving, "")
		b = served.NewBoard()
		w.to(b.Handler()) // it has no table yet
		pass(2 * time.Second)
		want(t, w.Route("u", route("a")), served.Serving, "")
		w.wantTold("")
		b.Publish(oneStream("u", nil), nil)
		pass(3 * time.Second)
		want(t, w.Route("u", route("a")), served.Pending, "")
		w.wantTold("all")
	})
}

// A data plane that nobody reaches for long is away; once it is back all is as
// it was.
func TestAwayAndBack(t *testing.T) {
	for name, cut := range map[string]func(*link){
		"refused": func(l *link) { l.to(nil) },
		"hangs":   func(l *link) { l.mu.Lock(); l.hangs = true; l.mu.Unlock() },
		"broken": func(l *link) {
			l.to(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>\x00") }))
		},
		"nameless": func(l *link) {
			l.to(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
		},
		"error": func(l *link) {
			l.to(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "line\x00 one\nline two"+strings.Repeat("x", 1<<20), http.StatusBadGateway)
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWatch(t, func(t *testing.T, w *watch) {
				b := served.NewBoard()
				b.Publish(oneStream("u", nil), map[string]string{jobs.String(): "j"})
				w.to(b.Handler())
				pass(time.Second)
				w.wantTold("all")
				cut(w.link)
				pass(14 * time.Second)
				want(t, w.Stream(orders, "u"), served.Serving, "")
				w.wantTold("")
				pass(26 * time.Second)
				want(t, w.Stream(orders, "u"), served.Away, "does not answer")
				w.wantTold("all")
				if reason := w.Stream(orders, "u").Reason; len(reason) > 300 || strings.ContainsAny(reason, "\x00\n") {
					t.Errorf("the reason is %q", reason)
				}
				if !w.Removed(jobs, "j") {
					t.Error("what is removed has come back")
				}
				w.to(b.Handler())
				if name == "hangs" {
					pass(15 * time.Second)
				}
				pass(5 * time.Second)
				want(t, w.Stream(orders, "u"), served.Serving, "")
				w.wantTold("all")
			})
		})
	}
}

func TestNothingNewFromAStranger(t *testing.T) {
	inWatch(t, func(t *testing.T, w *watch) {
		w.to(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
		pass(20 * time.Second)
		want(t, w.Stream(orders, "u"), served.Away, "has not said anything")
	})
}

// A crowded Board is asked once in a second, and is not away.
func TestCrowdedBoard(t *testing.T) {
	inWatch(t, func(t *testing.T, w *watch) {
		b := served.NewBoard()
		b.Publish(oneStream("u", nil), nil)
		var crowd sync.WaitGroup
		defer crowd.Wait()
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		for range 64 {
			crowd.Go(func() {
				for ctx.Err() == nil {
					get(ctx, b, after(served.Snapshot{Instance: "x"}))
					get(ctx, b, after(snapshotOf(t, get(ctx, b, nil))))
				}
			})
		}
		synctest.Wait()
		w.to(b.Handler())
		pass(5 * time.Second)
		asked := w.asked.Load()
		pass(10 * time.Second)
		want(t, w.Stream(orders, "u"), served.Serving, "")
		if n := w.asked.Load() - asked; n < 9 || n > 11 {
			t.Errorf("it asked %d times in 10s", n)
		}
	})
}

func TestURLThatIsNone(t *testing.T) {
	for _, url := range []string{"", "data-plane:9090", "/v1", "ftp://x", "http://", "http://\x00"} {
		if err := served.NewWatcher(served.WatcherOptions{URL: url}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "absolute") {
			t.Errorf("Run with the URL %q: %v", url, err)
		}
	}
}

// With sockets, and the client that a Watcher makes for itself.
func TestOverTheNetwork(t *testing.T) {
	b := served.NewBoard()
	b.Publish(oneStream("u", nil), nil)
	server := httptest.NewServer(b.Handler())
	defer server.Close()
	changes := make(chan served.Change)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	w := served.NewWatcher(served.WatcherOptions{URL: server.URL + "/", Changed: func(c served.Change) {
		select {
		case changes <- c:
		case <-ctx.Done():
		}
	}})
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	defer running.Wait()
	defer stop()
	next := func() served.Change {
		select {
		case c := <-changes:
			return c
		case <-ctx.Done():
			t.Fatal("nothing was told in time")
			return served.Change{}
		}
	}
	if c := next(); !c.All {
		t.Errorf("the first change is %+v", c)
	}
	want(t, w.Stream(orders, "u"), served.Serving, "")
	b.Publish(oneStream("u", serving(route("a"), "")), nil)
	c := next()
	if len(c.Routes) != 1 || c.Routes[0] != (served.RouteRef{Stream: orders, ID: "a"}) {
		t.Errorf("the second change is %+v", c)
	}
	want(t, w.Route("u", route("a")), served.Serving, "")
}

func BenchmarkVerdict(b *testing.B) {
	board := served.NewBoard()
	r := route("a")
	board.Publish(oneStream("u", serving(r, "")), nil)
	server := httptest.NewServer(board.Handler())
	defer server.Close()
	known := make(chan struct{}, 1)
	w := served.NewWatcher(served.WatcherOptions{URL: server.URL, Changed: func(served.Change) { known <- struct{}{} }})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	defer running.Wait()
	defer stop()
	<-known
	for b.Loop() {
		if w.Route("u", r).State != served.Serving {
			b.Fatal("it is not served")
		}
	}
}
