package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// deadLetterPrefix begins the names of the streams that hold dead letters.
const deadLetterPrefix = "dead/"

// DeadLetterStream is the name, in an engine, of the stream that holds a
// route's own dead letters: those that no dead letter sink receives.
func DeadLetterStream(stream routing.StreamName, route string) string {
	return deadLetterPrefix + stream.String() + "/" + route
}

// ParseDeadLetterStream says whose dead letters an engine's stream holds, and
// false if it holds none.
func ParseDeadLetterStream(name string) (stream routing.StreamName, route string, ok bool) {
	rest, ok := strings.CutPrefix(name, deadLetterPrefix)
	parts := strings.SplitN(rest, "/", 4)
	if !ok || len(parts) < 4 {
		return routing.StreamName{}, "", false
	}
	return routing.StreamName{Kind: routing.Kind(parts[0]), Namespace: parts[1], Name: parts[2]}, parts[3], true
}

// letters opens the streams of routes' own dead letters.
type letters struct {
	engine engine.Engine
	mu     sync.Mutex
	open   map[string]engine.Stream
}

// stream opens, and creates, the dead letters of a route.
func (l *letters) stream(ctx context.Context, r *routing.Route) (engine.Stream, error) {
	name := DeadLetterStream(r.Stream, r.ID)
	l.mu.Lock()
	s, ok := l.open[name]
	l.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := l.engine.Stream(ctx, engine.StreamSpec{Name: name, Retention: engine.KeepForever})
	if err != nil {
		return nil, fmt.Errorf("opening the dead letters of %s: %w", r, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[name] = s
	return s, nil
}

// append returns when the payload is durable.
func (l *letters) append(ctx context.Context, r *routing.Route, p engine.Payload) error {
	s, err := l.stream(ctx, r)
	if err != nil {
		return err
	}
	if _, err = s.Append(ctx, p); err != nil {
		if errors.Is(err, engine.ErrClosed) { // removed meanwhile: the next append opens it again
			l.forget(r)
		}
		return fmt.Errorf("storing a dead letter of %s: %w", r, err)
	}
	return nil
}

// kept returns how many dead letters a route has of its own. stored are the
// names of the engine's streams, sorted: none is created to be counted.
func (l *letters) kept(ctx context.Context, r *routing.Route, stored []string) (uint64, error) {
	if _, ok := slices.BinarySearch(stored, DeadLetterStream(r.Stream, r.ID)); !ok {
		return 0, nil
	}
	s, err := l.look(ctx, r)
	if s == nil || err != nil {
		return 0, err
	}
	state, err := s.State(ctx)
	if errors.Is(err, engine.ErrClosed) { // removed a moment ago
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("counting the dead letters of %s: %w", r, err)
	}
	return uint64(state.Head + 1 - state.First), nil
}

// look opens the dead letters of a route, nil if there are none.
func (l *letters) look(ctx context.Context, r *routing.Route) (engine.Stream, error) {
	s, err := l.engine.Stream(ctx, engine.StreamSpec{Name: DeadLetterStream(r.Stream, r.ID), Retention: engine.KeepAsIs})
	if errors.Is(err, engine.ErrNoStream) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the dead letters of %s: %w", r, err)
	}
	return s, nil
}

// forgetStream lets go of the dead letters of all routes of a stream.
func (l *letters) forgetStream(name routing.StreamName) {
	prefix := DeadLetterStream(name, "")
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.open, func(open string, _ engine.Stream) bool { return strings.HasPrefix(open, prefix) })
}

func (l *letters) forget(r *routing.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, DeadLetterStream(r.Stream, r.ID))
}
