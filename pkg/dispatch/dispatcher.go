// Package dispatch keeps one pump per route in step with the routing table; a
// pump takes deliveries from the route's consumer, makes one attempt with each
// and decides what becomes of it.
//
// The way of a delivery, with the file that tells about it:
//
//	pump.go     Next -> filter -> an attempt, or a dead letter that waits -> settle
//	attempt.go  the subscriber, then the reply; settles nothing
//	decide.go   ack | forward the reply | retry | bury
//	failure.go  why an event is a dead letter, as attributes
//
// A reply or dead letter is safe before the delivery is settled (invariant 5).
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Options are what a Dispatcher works with. Engine, Sender and Gate are needed.
type Options struct {
	// Engine holds the routes' own dead letters.
	Engine engine.Engine
	Sender Sender
	Gate   Admitter
	// Status is the HTTP status that ingress answers for an error of Gate, by
	// which a destination in this data plane counts as one that is reached over
	// the network. Nil answers 500 for all.
	Status func(error) int
	// Observe makes the observer of a route, once per generation of it. Nil
	// observes nothing.
	Observe func(*routing.Route) RouteObserver
	// Drain is how long deliveries of a route that is gone may take to end
	// before they are cut off; 0 means 30 s.
	Drain time.Duration
	// Retired is told, by any goroutine, that deliveries of a route that is gone
	// have ended: Release may have another answer now. Nil for nobody.
	Retired func()
	// Logger is told what nobody is there to be returned to. Nil is silent.
	Logger *slog.Logger
}

// maxRemembered bounds the bytes that failures of dead letter sinks take, all
// routes together.
const maxRemembered = 16 << 20

// settleGrace is how long giving back may take after attempts were cut off.
const settleGrace = 5 * time.Second

// ErrClosed says that the Dispatcher was closed.
var ErrClosed = errors.New("the dispatcher is closed")

// routeKey names a route among all.
type routeKey struct {
	stream routing.StreamName
	id     string
}

// Dispatcher delivers what the streams hold to the routes of a table. Its
// methods may be called concurrently.
type Dispatcher struct {
	courier courier
	letters letters
	observe func(*routing.Route) RouteObserver
	drain   time.Duration
	retired func()
	logger  *slog.Logger
	budget  budget

	// attempts and settling are the parents of the pumps' contexts.
	attempts, settling     context.Context
	cutAttempts, cutSettle context.CancelFunc
	drains                 sync.WaitGroup

	// applying is held by Apply and Close, which alone start and stop pumps.
	applying sync.Mutex
	closed   bool
	draining map[routeKey]*draining

	// mu guards the map for those who only look.
	mu    sync.RWMutex
	pumps map[routeKey]*pump
}

// New returns a Dispatcher without routes.
func New(o Options) *Dispatcher {
	d := &Dispatcher{
		courier:  courier{sender: o.Sender, gate: o.Gate, status: o.Status},
		letters:  letters{engine: o.Engine, open: map[string]engine.Stream{}},
		observe:  o.Observe,
		drain:    cmp.Or(o.Drain, 30*time.Second),
		retired:  o.Retired,
		logger:   cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		draining: map[routeKey]*draining{},
		pumps:    map[routeKey]*pump{},
	}
	if d.courier.status == nil {
		d.courier.status = func(error) int { return http.StatusInternalServerError }
	}
	if d.observe == nil {
		d.observe = func(*routing.Route) RouteObserver { return noObserver{} }
	}
	if d.retired == nil {
		d.retired = func() {}
	}
	d.budget.left.Store(maxRemembered)
	d.attempts, d.cutAttempts = context.WithCancel(context.Background())
	d.settling, d.cutSettle = context.WithCancel(context.Background())
	return d
}

// Close stops taking deliveries and waits for those in flight until ctx ends.
// Then it cuts them off: they come back with the same attempt. It returns when
// all that the Dispatcher has started has ended, with the errors of closing
// the consumers. Closing twice is legal.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.applying.Lock()
	defer d.applying.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	pumps := d.list()
	for _, p := range pumps {
		p.stop()
	}
	errs := make(chan error, 1)
	go func() {
		var all []error
		for _, p := range pumps {
			all = append(all, p.close())
		}
		d.drains.Wait()
		errs <- errors.Join(all...)
	}()
	defer d.cutSettle()
	defer d.cutAttempts()
	select {
	case err := <-errs:
		return err
	case <-ctx.Done():
		d.cutAttempts()
	}
	defer time.AfterFunc(settleGrace, d.cutSettle).Stop()
	return <-errs
}

// all returns the pumps in no order.
func (d *Dispatcher) all() []*pump {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.AppendSeq(make([]*pump, 0, len(d.pumps)), maps.Values(d.pumps))
}

// list returns the pumps, ordered by stream and route.
func (d *Dispatcher) list() []*pump {
	pumps := d.all()
	slices.SortFunc(pumps, func(a, b *pump) int {
		s, t := &a.key.stream, &b.key.stream
		return cmp.Or(
			cmp.Compare(s.Kind, t.Kind), cmp.Compare(s.Namespace, t.Namespace), cmp.Compare(s.Name, t.Name),
			cmp.Compare(a.key.id, b.key.id),
		)
	})
	return pumps
}

func (d *Dispatcher) pump(key routeKey) *pump {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.pumps[key]
}
