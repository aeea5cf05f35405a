package server

import (
	"context"
	"net/http"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

// newStatus shows, to whoever reaches it, what changes nothing.
func (p *plane) newStatus() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		mux.Handle("GET "+path, p.admin)
	}
	mux.Handle(served.Path, p.board.Handler())
	return mux
}

// tell puts on the board what is really served now: streams that the gate
// knows, and routes that are delivered to.
func (p *plane) tell(ctx context.Context, t *routing.Table) error {
	routes := map[routing.StreamName]map[string]served.Route{}
	streams := map[string]served.Stream{}
	for name := range p.streams {
		routes[name] = map[string]served.Route{}
		streams[name.String()] = served.Stream{UID: t.Streams[name].UID, Routes: routes[name]}
	}
	for _, r := range p.dispatcher.Served() {
		if of := routes[r.Stream]; of != nil {
			of[r.ID] = served.Route{Fingerprint: r.Fingerprint, Problem: r.Problem}
		}
	}
	removed, err := p.removed(ctx, t)
	p.board.Publish(streams, removed)
	return err
}

// removed are the streams of Table.Removed of which nothing is stored.
func (p *plane) removed(ctx context.Context, t *routing.Table) (map[string]string, error) {
	stored, err := p.stored(ctx, t.Removed)
	if err != nil {
		return nil, err
	}
	removed := map[string]string{}
	for name, uid := range t.Removed {
		if len(stored[name]) == 0 || !p.mayBelong(name, uid) {
			removed[name.String()] = uid
		}
	}
	return removed, nil
}
