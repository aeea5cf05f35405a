// Package dataplanetest is a data plane that says what a test of a controller
// wants it to.
package dataplanetest

import (
	"context"
	"sync"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

// Plane is a dataplane.Link and a served.Asker. The zero value answers Unknown
// to everything. It is safe for concurrent use.
type Plane struct {
	mu        sync.Mutex
	streams   func(name routing.StreamName, uid string) served.Verdict
	routes    func(streamUID string, r *routing.Route) served.Verdict
	removed   map[routing.StreamName]string
	listeners []func(served.Change)
}

// All is a plane that has one verdict on everything.
func All(state served.State, reason string) *Plane {
	p := &Plane{}
	p.Say(served.Verdict{State: state, Reason: reason})
	return p
}

// Say sets the verdict on everything.
func (p *Plane) Say(v served.Verdict) {
	p.SayOfStreams(func(routing.StreamName, string) served.Verdict { return v })
	p.SayOfRoutes(func(string, *routing.Route) served.Verdict { return v })
}

// SayOfStreams sets the verdicts on streams.
func (p *Plane) SayOfStreams(f func(name routing.StreamName, uid string) served.Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = f
}

// SayOfRoutes sets the verdicts on routes.
func (p *Plane) SayOfRoutes(f func(streamUID string, r *routing.Route) served.Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes = f
}

// Remove makes nothing stored any more of a stream.
func (p *Plane) Remove(name routing.StreamName, uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed == nil {
		p.removed = make(map[routing.StreamName]string)
	}
	p.removed[name] = uid
}

// Change tells all that have joined.
func (p *Plane) Change(c served.Change) {
	p.mu.Lock()
	listeners := p.listeners
	p.mu.Unlock()
	for _, changed := range listeners {
		changed(c)
	}
}

// Join implements dataplane.Link.
func (p *Plane) Join(_ context.Context, changed func(served.Change)) served.Asker {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners = append(p.listeners, changed)
	return p
}

// Stream implements served.Asker.
func (p *Plane) Stream(name routing.StreamName, uid string) served.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams == nil {
		return served.Verdict{}
	}
	return p.streams(name, uid)
}

// Route implements served.Asker.
func (p *Plane) Route(streamUID string, r *routing.Route) served.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.routes == nil {
		return served.Verdict{}
	}
	return p.routes(streamUID, r)
}

// Removed implements served.Asker.
func (p *Plane) Removed(name routing.StreamName, uid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	got, ok := p.removed[name]
	return ok && got == uid
}
