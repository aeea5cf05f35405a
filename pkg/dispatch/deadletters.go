package dispatch

import (
	"context"
	"errors"
	"fmt"
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

func (l *letters) forget(r *routing.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, DeadLetterStream(r.Stream, r.ID))
}
