package admin

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// snapshot is the table with the states of its routes.
type snapshot struct {
	table  *routing.Table
	states map[routeKey]RouteState
	// stored are the names of the engine's streams, sorted.
	stored []string
}

type routeKey struct {
	stream routing.StreamName
	id     string
}

func (a *api) snapshot(ctx context.Context) (*snapshot, error) {
	stored, err := a.Engine.Streams(ctx)
	if err != nil {
		return nil, err
	}
	s := &snapshot{table: a.table(), states: map[routeKey]RouteState{}, stored: stored}
	for _, state := range a.Routes(ctx) {
		s.states[routeKey{state.Route.Stream, state.Route.ID}] = state
	}
	return s, nil
}

// look finds the stream that a request is about, in a snapshot of all.
func (a *api) look(r *http.Request) (routing.StreamName, *snapshot, error) {
	name, err := a.find(r)
	if err != nil {
		return name, nil, err
	}
	s, err := a.snapshot(r.Context())
	return name, s, err
}

func (a *api) streams(r *http.Request) (any, error) {
	s, err := a.snapshot(r.Context())
	if err != nil {
		return nil, err
	}
	list := []Stream{}
	for _, name := range sortedStreams(s.table) {
		stream := a.show(r.Context(), s, s.table.Streams[name])
		stream.Routes = nil
		list = append(list, stream)
	}
	gone, err := a.gone(r.Context(), s)
	return append(list, gone...), err
}

func sortedStreams(t *routing.Table) []routing.StreamName {
	return slices.SortedFunc(maps.Keys(t.Streams), func(a, b routing.StreamName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
}

func (a *api) stream(r *http.Request) (any, error) {
	name, s, err := a.look(r)
	if err != nil {
		return nil, err
	}
	stream := s.table.Streams[name]
	if stream == nil {
		return nil, noStream(name)
	}
	return a.show(r.Context(), s, stream), nil
}

func (a *api) route(r *http.Request) (any, error) {
	name, s, err := a.look(r)
	if err != nil {
		return nil, err
	}
	route, err := findRoute(s.table, name, r.PathValue("route"))
	if err != nil {
		return nil, err
	}
	return s.showRoute(route), nil
}

// findRoute finds a route by its ID, or else by kind/namespace/name,
// namespace/name or name if that fits one alone.
func findRoute(t *routing.Table, stream routing.StreamName, text string) (*routing.Route, error) {
	s := t.Streams[stream]
	if s == nil {
		return nil, noStream(stream)
	}
	var found []*routing.Route
	for _, r := range s.Routes {
		short := r.Namespace + "/" + r.Name
		switch text {
		case r.ID:
			return r, nil
		case r.Name, short, strings.ToLower(r.Kind) + "/" + short:
			found = append(found, r)
		}
	}
	show := "GET /v1/streams/" + stream.Namespace + "/" + stream.Name + " shows the ids of all"
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fail(http.StatusNotFound, "there is no route "+text+"; "+show)
	}
	return nil, fail(http.StatusConflict, "several routes are named "+text+"; use the id, "+show)
}

func (a *api) show(ctx context.Context, s *snapshot, stream *routing.Stream) Stream {
	v := Stream{
		Kind: string(stream.Name.Kind), Namespace: stream.Name.Namespace, Name: stream.Name.Name,
		UID: stream.UID, Hosts: stream.Hosts, RouteCount: len(stream.Routes),
	}
	if stream.Retention > 0 {
		v.Retention = stream.Retention.String()
	}
	for _, r := range stream.Routes {
		route := s.showRoute(r)
		v.Lag += route.Lag
		v.DeadLetters += route.DeadLetters
		v.Routes = append(v.Routes, route)
	}
	state, err := a.streamState(ctx, stream.Name.String())
	if errors.Is(err, engine.ErrNoStream) {
		state, err = engine.StreamState{First: 1}, nil
	}
	if err != nil {
		v.Problem = err.Error()
		return v
	}
	v.First, v.Head, v.Records, v.Oldest = state.First, state.Head, records(state), instant(state.Oldest)
	return v
}

// streamState reads a stream's state; ErrNoStream or ErrClosed if it is gone.
func (a *api) streamState(ctx context.Context, name string) (engine.StreamState, error) {
	stream, err := a.Engine.Stream(ctx, engine.StreamSpec{Name: name, Retention: engine.KeepAsIs})
	if err != nil {
		return engine.StreamState{}, err
	}
	return stream.State(ctx)
}

func records(s engine.StreamState) uint64 { return uint64(s.Head + 1 - s.First) }

func (s *snapshot) showRoute(r *routing.Route) Route {
	v := Route{
		ID: r.ID, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name,
		Subscriber: address(r.Subscriber), Reply: address(r.Reply), DeadLetterSink: address(r.Delivery.DeadLetterSink),
		MaxInFlight: r.MaxInFlight, Ordered: r.Ordered, Problem: r.Unresolved,
	}
	state, ok := s.states[routeKey{r.Stream, r.ID}]
	if !ok {
		v.Problem = cmp.Or(v.Problem, "the route is not served yet")
		return v
	}
	v.Problem = cmp.Or(v.Problem, state.Problem)
	v.Floor, v.Lag = state.Consumer.Floor, state.Consumer.Lag
	v.InFlight, v.Parked = state.Consumer.InFlight, state.Consumer.Parked
	v.Oldest = instant(state.Consumer.Oldest)
	v.DeadLetters, v.Counters = state.DeadLetters, state.Counters
	v.LastError, v.LastErrorAt = state.LastError, instant(state.LastErrorAt)
	return v
}

// address is a destination's URL without a password.
func address(d *routing.Destination) string {
	if d == nil {
		return ""
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return "a URL that cannot be read"
	}
	return u.Redacted()
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
