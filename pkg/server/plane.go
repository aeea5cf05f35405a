package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/dispatch"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/ingress"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/telemetry"
)

// plane is one data plane: the rooms, put together.
type plane struct {
	Options
	engine     *embedded.Engine
	gate       *ingress.Gate
	client     *deliver.Client
	dispatcher *dispatch.Dispatcher
	metrics    *telemetry.Metrics
	budget     *ingress.Budget
	ingress    http.Handler
	admin      http.Handler

	// ready is set once events are taken, stopping when the end has begun.
	ready, stopping atomic.Bool
	// loaded is closed when the first table is served.
	loaded   chan struct{}
	loadOnce sync.Once
	table    atomic.Pointer[routing.Table]
	// applying is held by apply and by what must not happen beside it.
	applying sync.Mutex
	// streams are those of the present table; only apply changes it.
	streams map[routing.StreamName]engine.Stream
}

// apply brings the rooms in step with a table. Routes come before the streams
// take events, so that an event is for every Trigger that was there before it.
func (p *plane) apply(ctx context.Context, t *routing.Table) {
	p.applying.Lock()
	defer p.applying.Unlock()
	streams, err := p.openStreams(ctx, t)
	if err != nil {
		p.Logger.Error("a stream could not be opened; it takes no events", "error", err)
	}
	if err := p.dispatcher.Apply(ctx, t, streams); err != nil {
		p.Logger.Error("a route could not be served; the next table is tried again", "error", err)
	}
	hosts := map[string]routing.StreamName{}
	for name, s := range t.Streams {
		for _, h := range s.Hosts {
			hosts[h] = name
		}
	}
	p.gate.SetStreams(streams, hosts)
	p.streams = streams
	p.table.Store(t)
	p.loadOnce.Do(func() { close(p.loaded) })
}

// removeStream deletes a stream that no manifest names any more.
func (p *plane) removeStream(ctx context.Context, name routing.StreamName) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	switch t := p.table.Load(); {
	case t == nil || !t.Complete:
		return errors.New("not every manifest can be read, so it is not certain that the stream is gone; see GET /v1/problems")
	case t.Streams[name] != nil:
		return errors.New("it is served; remove it from the manifests first")
	}
	return p.engine.Remove(ctx, name.String())
}

func (p *plane) openStreams(ctx context.Context, t *routing.Table) (map[routing.StreamName]engine.Stream, error) {
	var failed error
	streams := maps.Clone(p.streams)
	maps.DeleteFunc(streams, func(name routing.StreamName, _ engine.Stream) bool { return t.Streams[name] == nil })
	for name, s := range t.Streams {
		stream, err := p.engine.Stream(ctx, engine.StreamSpec{Name: name.String(), Retention: s.Retention})
		if err != nil {
			failed = fmt.Errorf("stream %s: %w", name, err)
			continue
		}
		streams[name] = stream
	}
	return streams, failed
}
