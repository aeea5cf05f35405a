package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"

	"leat.dev/leat/pkg/admin"
	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/dispatch"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/ingress"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
	"leat.dev/leat/pkg/telemetry"
)

// newPlane opens the engine and makes the rooms around it.
func newPlane(o Options) (*plane, error) {
	p := &plane{
		Options: o,
		gate:    ingress.NewGate(),
		client: deliver.New(deliver.Options{
			DefaultTimeout: o.DeliveryTimeout, MaxReplyBytes: o.MaxEventBytes, UserAgent: "leat/" + o.Version,
		}),
		loaded:  make(chan struct{}),
		streams: map[routing.StreamName]engine.Stream{},
		owners:  map[routing.StreamName]string{},
		tables:  make(chan *routing.Table, 1),
		retired: make(chan struct{}, 1),
		board:   served.NewBoard(),
	}
	var err error
	if p.metrics, err = telemetry.New(telemetry.Options{Version: o.Version, Routes: p.measuredRoutes}); err != nil {
		return nil, err
	}
	p.engine, err = embedded.Open(o.Data, embedded.Options{
		Logger: o.Logger, MaxBytes: o.MaxDiskBytes, MinFree: o.MinFreeBytes, Fatal: o.Fatal, OnSync: p.metrics.Synced,
	})
	if errors.Is(err, engine.ErrLocked) {
		err = fmt.Errorf("%w; stop that process, or choose another folder with --data", err)
	}
	if err != nil {
		return nil, errors.Join(err, p.metrics.Close())
	}
	p.dispatcher = dispatch.New(dispatch.Options{
		Engine: p.engine, Sender: p.client, Gate: admitter{p.gate}, Status: ingress.Status,
		Observe: func(r *routing.Route) dispatch.RouteObserver { return p.metrics.Route(r) },
		Drain:   o.Grace, Retired: p.routeRetired, Logger: o.Logger,
	})
	p.budget = ingress.NewBudget(o.MaxEventBytes)
	p.ingress = ingress.New(p.gate, ingress.Options{MaxBodyBytes: o.MaxEventBytes, Budget: p.budget, Observer: p.metrics, Logger: o.Logger})
	p.admin = p.newAdmin()
	p.status = p.newStatus()
	return p, nil
}

// admitter lets replies and dead letters through the gate.
type admitter struct{ gate *ingress.Gate }

func (a admitter) Admit(ctx context.Context, to routing.StreamName, hops int, e cloudevent.Event) error {
	return a.gate.Admit(ctx, to, ingress.Left(hops), e)
}

func (p *plane) newAdmin() http.Handler {
	api := admin.New(admin.Options{
		Engine: p.engine,
		Table:  p.table.Load,
		Routes: p.shownRoutes,
		Redrive: func(ctx context.Context, stream routing.StreamName, route string, to engine.Seq) (admin.Redriven, error) {
			done, err := p.dispatcher.Redrive(ctx, stream, route, to)
			return admin.Redriven(done), err
		},
		Seek:                  p.dispatcher.Seek,
		RemoveStream:          p.removeStream,
		DeadLetterStream:      dispatch.DeadLetterStream,
		ParseDeadLetterStream: dispatch.ParseDeadLetterStream,
		NotReady:              p.notReady,
		Metrics:               p.shownMetrics(),
	})
	if !p.Profiling {
		return api
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// shownMetrics is what /metrics answers.
func (p *plane) shownMetrics() http.Handler {
	if p.NoMetrics {
		return http.NotFoundHandler()
	}
	return p.metrics.Handler()
}

func (p *plane) notReady() []string {
	if p.stopping.Load() {
		return []string{"shutting down"}
	}
	if !p.ready.Load() {
		return []string{"the first routing table is being loaded"}
	}
	return nil
}

func (p *plane) shownRoutes(ctx context.Context) []admin.RouteState {
	routes := p.dispatcher.Routes(ctx)
	shown := make([]admin.RouteState, len(routes))
	for i, r := range routes {
		shown[i] = admin.RouteState{
			Route: r.Route, Problem: r.Problem, Consumer: r.Consumer, Counters: admin.Counters(r.Counters),
			DeadLetters: r.DeadLetters, LastError: r.LastError, LastErrorAt: r.LastErrorAt,
		}
	}
	return shown
}

func (p *plane) measuredRoutes(ctx context.Context) []telemetry.RouteState {
	routes := p.dispatcher.Routes(ctx)
	measured := make([]telemetry.RouteState, len(routes))
	for i, r := range routes {
		measured[i] = telemetry.RouteState{Route: r.Route, Consumer: r.Consumer, DeadLetters: r.DeadLetters}
	}
	return measured
}
