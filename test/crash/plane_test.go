package crash

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/dispatch"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/ingress"
	"leat.dev/leat/pkg/routing"
)

// plane is a data plane in this process, on any file system: what pkg/server
// puts together, without the listeners and with a table that is given.
type plane struct {
	engine     *embedded.Engine
	client     *deliver.Client
	dispatcher *dispatch.Dispatcher
	server     *httptest.Server
}

type gate struct{ *ingress.Gate }

func (g gate) Admit(ctx context.Context, to routing.StreamName, hops int, e cloudevent.Event) error {
	return g.Gate.Admit(ctx, to, ingress.Left(hops), e)
}

// startPlane opens the engine on fs and serves the Broker; seen wraps its
// handler.
func startPlane(t *testing.T, fs vfs.FS, broker *routing.Stream, seen *witness) *plane {
	t.Helper()
	ctx := t.Context()
	e, err := embedded.Open("data", embedded.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{engine: e, client: deliver.New(deliver.Options{})}
	g := gate{ingress.NewGate()}
	p.dispatcher = dispatch.New(dispatch.Options{Engine: e, Sender: p.client, Gate: g, Status: ingress.Status})
	stream, err := e.Stream(ctx, engine.StreamSpec{Name: broker.Name.String()})
	if err != nil {
		t.Fatal(err)
	}
	table := &routing.Table{Generation: 1, Streams: map[routing.StreamName]*routing.Stream{broker.Name: broker}, Complete: true}
	streams := map[routing.StreamName]engine.Stream{broker.Name: stream}
	if err := p.dispatcher.Apply(ctx, table, streams); err != nil {
		t.Fatal(err)
	}
	g.SetStreams(streams, nil)
	p.server = httptest.NewServer(seen.watch(ingress.New(g.Gate, ingress.Options{})))
	return p
}

// close ends it in order, which after a power cut nobody sees any more.
func (p *plane) close(t *testing.T) {
	t.Helper()
	p.server.Close()
	if err := p.dispatcher.Close(t.Context()); err != nil {
		t.Error(err)
	}
	p.client.Close()
	if err := p.engine.Close(); err != nil {
		t.Error(err)
	}
}

// settle waits until every route has settled all there is.
func (p *plane) settle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		routes := p.dispatcher.Routes(t.Context())
		if !slices.ContainsFunc(routes, func(r dispatch.RouteState) bool { return r.Consumer.Lag > 0 }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not settled after %v: %+v", patience, routes)
		}
	}
}

// kept are the ids of a route's own dead letters.
func (p *plane) kept(t *testing.T, stream routing.StreamName, route string) map[string]int {
	t.Helper()
	s, err := p.engine.Stream(t.Context(), engine.StreamSpec{Name: dispatch.DeadLetterStream(stream, route), Retention: engine.KeepForever})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for from := engine.Seq(1); ; {
		records, err := s.Read(t.Context(), from, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			e, err := cloudevent.Decode(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			ids[e.ID()]++
			from = r.Seq + 1
		}
		if len(records) == 0 {
			return ids
		}
	}
}
