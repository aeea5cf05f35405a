package served

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"leat.dev/leat/pkg/routing"
)

// WatcherOptions say whom to ask. URL is needed.
type WatcherOptions struct {
	// URL is the data plane's status address without a path, such as
	// http://leat-dispatcher.knative-eventing.svc.cluster.local:9090.
	URL string
	// Client makes the requests. Nil is one of the Watcher's own.
	Client *http.Client
	// Grace is how long the last snapshot holds while the data plane does not
	// answer, so that a restart is no news. 0 means 15 s.
	Grace time.Duration
	// Changed is told what differs after each change, by one goroutine. It must
	// not block. Nil for nobody.
	Changed func(Change)
	// Logger is told when the data plane goes away and comes back. Nil is
	// silent.
	Logger *slog.Logger
}

// Change is about what verdicts may have changed.
type Change struct {
	// Streams are new, gone, or of another object than before.
	Streams []routing.StreamName
	// Routes are new, gone or changed, in streams of any kind.
	Routes []RouteRef
	// Removed are the streams about which Asker.Removed may have changed.
	Removed []routing.StreamName
	// All says that any verdict may have changed; the lists are empty.
	All bool
}

// RouteRef names a route.
type RouteRef struct {
	Stream routing.StreamName
	// ID is routing.Route.ID.
	ID string
}

// Watcher follows what a data plane says. It implements Asker; all its methods
// may be called concurrently.
type Watcher struct {
	WatcherOptions
	view atomic.Pointer[view]
}

var _ Asker = (*Watcher)(nil)

// view is what a Watcher knows. It is replaced as a whole.
type view struct {
	// snapshot is the last one, nil if there was none yet.
	snapshot *Snapshot
	// away is why the snapshot does not hold any more, empty if it does.
	away string
}

// NewWatcher returns a Watcher whose verdicts are Unknown until Run has learned
// something.
func NewWatcher(o WatcherOptions) *Watcher {
	o.Grace = cmp.Or(o.Grace, 15*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Changed == nil {
		o.Changed = func(Change) {}
	}
	return &Watcher{WatcherOptions: o}
}

// Run asks until ctx ends, and returns nil then. It is to be called once. The
// error says that the URL is none.
func (w *Watcher) Run(ctx context.Context) error {
	u, err := url.Parse(w.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("the data plane's URL is %q, but must be absolute, with http or https and a host", w.URL)
	}
	a := &asking{url: u.JoinPath(Path), client: w.Client, answers: make(chan answer)}
	if a.client == nil {
		a.client = newClient()
		defer a.client.CloseIdleConnections()
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { a.run(ctx) })
	w.follow(ctx, a.answers)
	return nil
}

// follow keeps the view, and tells of changes, until ctx ends.
func (w *Watcher) follow(ctx context.Context, answers <-chan answer) {
	lost, why := true, "it has not answered yet"
	grace := time.NewTimer(w.Grace)
	defer grace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-grace.C:
			w.leave(why)
		case a := <-answers:
			if a.err != nil {
				why = a.err.Error()
				if !lost {
					lost = true
					grace.Reset(w.Grace)
					w.Logger.Info("the data plane does not answer; what it said last holds for a while",
						"url", w.URL, "grace", w.Grace.String(), "error", why)
				}
				continue
			}
			lost = false
			grace.Stop()
			w.take(a.snapshot)
		}
	}
}

// leave says that the data plane is away.
func (w *Watcher) leave(why string) {
	v := view{away: "The data plane does not answer: " + why}
	if old := w.view.Load(); old != nil {
		v.snapshot = old.snapshot
	}
	w.view.Store(&v)
	w.Logger.Warn("the data plane is away", "url", w.URL, "error", why)
	w.Changed(Change{All: true})
}

// take makes a snapshot the present one; nil is the same as before.
func (w *Watcher) take(s *Snapshot) {
	old := w.view.Load()
	if s == nil {
		if old == nil || old.away == "" {
			return
		}
		s = old.snapshot
	}
	w.view.Store(&view{snapshot: s})
	if old == nil || old.away != "" || old.snapshot.Instance != s.Instance {
		w.Logger.Info("the data plane answers", "url", w.URL, "instance", s.Instance, "streams", len(s.Streams))
		w.Changed(Change{All: true})
		return
	}
	if c := difference(old.snapshot, s); len(c.Streams)+len(c.Routes)+len(c.Removed) > 0 {
		w.Changed(c)
	}
}
