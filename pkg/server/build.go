package server

import (
	"net/http"

	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/dispatch"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/ingress"
	"leat.dev/leat/pkg/routing"
)

// newPlane opens the engine and makes the rooms around it.
func newPlane(o Options) (*plane, error) {
	p := &plane{
		Options: o,
		gate:    ingress.NewGate(),
		client:  deliver.New(deliver.Options{DefaultTimeout: o.DeliveryTimeout, MaxReplyBytes: o.MaxEventBytes, UserAgent: "leat/" + o.Version}),
		loaded:  make(chan struct{}),
		streams: map[routing.StreamName]engine.Stream{},
	}
	var err error
	p.engine, err = embedded.Open(o.Data, embedded.Options{
		Logger: o.Logger, MaxBytes: o.MaxDiskBytes, MinFree: o.MinFreeBytes, Fatal: o.Fatal,
	})
	if err != nil {
		return nil, err
	}
	p.dispatcher = dispatch.New(dispatch.Options{
		Engine: p.engine, Sender: p.client, Gate: admitter{p.gate}, Status: ingress.Status, Drain: o.Grace,
	})
	p.ingress = ingress.New(p.gate, ingress.Options{MaxBodyBytes: o.MaxEventBytes, Logger: o.Logger})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !p.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	p.admin = mux
	return p, nil
}
