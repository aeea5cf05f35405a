// Package kubesource is a routing.Source that follows the Brokers, Triggers,
// LeatChannels and Subscriptions of a cluster.
//
// It only reads. What controllers resolve it takes from the objects' status,
// as the control-plane spec says; routing/build makes the table, as it does
// for manifests. There is no table before every kind has been read once, and
// every table is Complete: what is missing from it is gone, or was never seen
// by this data plane. While the API server is away the last table stays.
package kubesource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// minPause is the least time from one table to the next. A change that comes
// after a quiet time is published at once; those of a burst gather.
const minPause = 50 * time.Millisecond

// Options of New. Clients and BaseURL are required.
type Options struct {
	Clients Clients
	// BaseURL is where the data plane is reached in the cluster: http or https
	// and a host. What leads there or to a channel's host is delivered without
	// a hop over the network.
	BaseURL string
	// ClusterDomain ends the host names of channels, cluster.local if empty.
	ClusterDomain string
	// Log tells of problems and of an API server that is away. Nil is silent.
	Log *slog.Logger
}

// Live is what may change while a Source runs.
type Live struct {
	// CrossNamespace lets Triggers read Brokers of other namespaces.
	CrossNamespace bool
	// Problems are shown with those of the objects.
	Problems []routing.Problem
}

// Source follows a cluster.
type Source struct {
	options Options
	base    base
	// dirty holds a value when something has changed that is in no table yet.
	dirty chan struct{}

	mu   sync.Mutex
	live Live
	// unreadable is the problem of each kind that cannot be read.
	unreadable map[string]string
}

var _ routing.Source = (*Source)(nil)

// New returns a Source. The error tells of a BaseURL that is none.
func New(o Options) (*Source, error) {
	if o.ClusterDomain == "" {
		o.ClusterDomain = build.DefaultClusterDomain
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	u, err := url.Parse(o.BaseURL)
	if err == nil && ((u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || (u.Path != "" && u.Path != "/")) {
		err = errors.New("it must be like http://leat-ingress.knative-eventing.svc.cluster.local")
	}
	if err != nil {
		return nil, fmt.Errorf("base URL %q: %w", o.BaseURL, err)
	}
	return &Source{
		options: o, base: newBase(u, o.ClusterDomain), dirty: make(chan struct{}, 1), unreadable: map[string]string{},
	}, nil
}

// Set replaces what may change, before or while the Source runs.
func (s *Source) Set(l Live) {
	s.mu.Lock()
	s.live = l
	s.mu.Unlock()
	s.touch()
}

// touch has the next table made.
func (s *Source) touch() {
	select {
	case s.dirty <- struct{}{}:
	default: // it will be made anyway
	}
}

func (s *Source) setUnreadable(kind, problem string) {
	s.mu.Lock()
	s.unreadable[kind] = problem
	s.mu.Unlock()
	s.touch()
}

// settings is Live as it is now, with the problems of reading.
func (s *Source) settings() Live {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := Live{CrossNamespace: s.live.CrossNamespace, Problems: append([]routing.Problem(nil), s.live.Problems...)}
	for kind, problem := range s.unreadable {
		if problem != "" {
			l.Problems = append(l.Problems, routing.Problem{Object: kind, Reason: problem})
		}
	}
	return l
}

// Run implements routing.Source. It begins to read only now: what an earlier
// process on the same store has seen must not be newer, or it would be missing
// from the first table. A Source runs once.
func (s *Source) Run(ctx context.Context, publish func(*routing.Table)) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()

	begun := time.Now()
	o := s.newObjects()
	for _, run := range o.runs() {
		reading.Go(func() { run(ctx) })
	}
	for _, loaded := range o.loaded() {
		select {
		case <-loaded:
		case <-ctx.Done():
			return nil
		}
	}
	s.follow(ctx, o, begun, publish)
	return nil
}

// follow publishes tables until ctx ends.
func (s *Source) follow(ctx context.Context, o *objects, begun time.Time, publish func(*routing.Table)) {
	t := tables{source: s}
	r := newReporter(s.options.Log)
	for changed := true; ; {
		if changed {
			started := time.Now()
			select {
			case <-s.dirty: // what it tells of is read now
			default:
			}
			if table := t.next(o.input(), s.settings()); table != nil {
				r.table(table, time.Since(begun))
				publish(table)
			}
			// A large table costs more; half of the time is for everything else.
			if !sleep(ctx, max(minPause, time.Since(started))) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
			changed = true
		case <-r.problems(t.last.Problems, time.Now()):
			changed = false
		}
	}
}

// sleep is false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
