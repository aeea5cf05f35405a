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
	"leat.dev/leat/pkg/ingress"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
	"leat.dev/leat/pkg/telemetry"
)

// plane is one data plane: the rooms, put together.
type plane struct {
	Options
	engine     engine.Engine
	gate       *ingress.Gate
	client     *deliver.Client
	dispatcher *dispatch.Dispatcher
	metrics    *telemetry.Metrics
	budget     *ingress.Budget
	ingress    http.Handler
	admin      http.Handler
	board      *served.Board
	status     http.Handler

	// ready is set once events are taken, stopping when the end has begun.
	ready, stopping atomic.Bool
	// loaded is closed when the first table is served.
	loaded   chan struct{}
	loadOnce sync.Once
	table    atomic.Pointer[routing.Table]
	// applying is held by apply and by what must not happen beside it.
	applying sync.Mutex
	// streams are those of the present table that the gate knows; only apply
	// changes it.
	streams map[routing.StreamName]engine.Stream
	// owners are the UIDs of the objects to which what is stored belongs, as far
	// as this process has seen them. applying guards it.
	owners map[routing.StreamName]string

	// tables holds the newest table that is not applied yet, and retired a token
	// when deliveries of a route that is gone have ended.
	tables  chan *routing.Table
	retired chan struct{}
}

// leftover is what an apply has left undone.
type leftover struct {
	// failures are to be tried again.
	failures bool
	// removals wait until deliveries under way have ended.
	removals bool
}

// apply brings the rooms in step with a table, and tells the board.
func (p *plane) apply(ctx context.Context, t *routing.Table) leftover {
	p.applying.Lock()
	defer p.applying.Unlock()
	leaving := p.leaving(t)
	err := p.serve(ctx, t, leaving)
	if wait := len(leaving); wait > 0 {
		err = errors.Join(err, p.remove(ctx, leaving))
		if len(leaving) < wait { // some of them may be there again
			err = errors.Join(err, p.serve(ctx, t, leaving))
		}
	}
	if p.Status != "" && ctx.Err() == nil { // else nobody can ask, or it is about to end
		err = errors.Join(err, p.tell(ctx, t))
	}
	if err != nil && ctx.Err() == nil {
		p.Logger.Error("a part of the routing table is not served; it is tried again", "generation", t.Generation, "error", err)
	}
	p.loadOnce.Do(func() { close(p.loaded) })
	return leftover{failures: err != nil, removals: len(leaving) > 0}
}

// serve makes the dispatcher and the gate follow a table. Routes come before
// the streams take events, so that an event is for every Trigger that was there
// before it; but a route's deliveries, and their replies, begin at once. Streams
// that are leaving are not served.
func (p *plane) serve(ctx context.Context, t *routing.Table, leaving map[routing.StreamName]string) error {
	streams, err := p.openStreams(ctx, t, leaving)
	all := orUnopened(streams, t, leaving)
	p.gate.SetInside(all)
	if failed := p.dispatcher.Apply(ctx, t, streams); failed != nil {
		err = errors.Join(err, failed)
	}
	hosts := map[string]routing.StreamName{}
	for name, s := range t.Streams {
		for _, h := range s.Hosts {
			hosts[h] = name
		}
	}
	p.gate.SetStreams(all, hosts)
	p.streams = streams
	p.table.Store(t)
	return err
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
	if err := p.engine.Remove(ctx, name.String()); err != nil {
		return err
	}
	delete(p.owners, name)
	return nil
}

// openStreams opens the streams of a table. One that cannot be opened anew
// stays as it is.
func (p *plane) openStreams(ctx context.Context, t *routing.Table, leaving map[routing.StreamName]string) (map[routing.StreamName]engine.Stream, error) {
	var failed []error
	streams := map[routing.StreamName]engine.Stream{}
	for name, s := range t.Streams {
		if _, leaves := leaving[name]; leaves {
			continue
		}
		stream, err := p.engine.Stream(ctx, engine.StreamSpec{Name: name.String(), Retention: s.Retention})
		if err != nil {
			failed = append(failed, fmt.Errorf("open the stream %s: %w", name, err))
			if stream = p.streams[name]; stream == nil {
				continue
			}
		}
		streams[name] = stream
		if s.UID != "" {
			p.owners[name] = s.UID
		}
	}
	return streams, errors.Join(failed...)
}

// unopened is a stream that is in the table and could not be opened. A sender
// must not be told that it is not there, but to try again.
type unopened struct{ engine.Stream }

var errUnopened = errors.New("the stream could not be opened; the log says why")

// Append implements engine.Stream.
func (unopened) Append(context.Context, ...engine.Payload) (engine.Seq, error) { return 0, errUnopened }

// orUnopened are the streams with those of the table that could not be opened.
func orUnopened(streams map[routing.StreamName]engine.Stream, t *routing.Table, leaving map[routing.StreamName]string) map[routing.StreamName]engine.Stream {
	all := maps.Clone(streams)
	for name := range t.Streams {
		if _, leaves := leaving[name]; all[name] == nil && !leaves {
			all[name] = unopened{}
		}
	}
	return all
}
