package dispatch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// RouteState is a snapshot of a route.
type RouteState struct {
	// Route must not be changed.
	Route *routing.Route
	// Problem is why the route, or a part of its filter, is not served; empty
	// if all is well.
	Problem  string
	Consumer engine.ConsumerState
	Counters Counters
	// DeadLetters are those in the route's own store.
	DeadLetters uint64
	// LastError is bounded and holds no event data; empty if there was none.
	LastError   string
	LastErrorAt time.Time
}

// Routes returns the state of every route that has a consumer, ordered by
// stream and ID. A route whose consumer cannot be read is shown with the error.
func (d *Dispatcher) Routes(ctx context.Context) []RouteState {
	pumps := d.list()
	stored, err := d.letters.engine.Streams(ctx)
	states := make([]RouteState, 0, len(pumps))
	for _, p := range pumps {
		states = append(states, p.state(ctx, stored, err))
	}
	return states
}

// Route returns the state of one route, false if it has no consumer.
func (d *Dispatcher) Route(ctx context.Context, stream routing.StreamName, id string) (RouteState, bool) {
	p := d.pump(routeKey{stream, id})
	if p == nil {
		return RouteState{}, false
	}
	stored, err := d.letters.engine.Streams(ctx)
	return p.state(ctx, stored, err), true
}

// state reads the route's state; stored are the engine's streams, or err says
// why they could not be listed.
func (p *pump) state(ctx context.Context, stored []string, err error) RouteState {
	b := p.route.Load()
	s := RouteState{Route: b.route, Problem: cmp.Or(b.route.Unresolved, b.mistake), Counters: p.counted.read()}
	s.LastError, s.LastErrorAt = p.last.get()
	var failed, uncounted error
	s.Consumer, failed = p.consumer.State(ctx)
	s.DeadLetters, uncounted = p.letters.kept(ctx, b.route, stored)
	if err := errors.Join(err, failed, uncounted); err != nil {
		s.Problem = cmp.Or(s.Problem, bounded("reading the state: "+err.Error()))
	}
	return s
}
