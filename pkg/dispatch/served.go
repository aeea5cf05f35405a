package dispatch

import "leat.dev/leat/pkg/routing"

// Served is a route that has its place in its stream and is delivered to.
type Served struct {
	Stream routing.StreamName
	// ID is routing.Route.ID, Fingerprint that of the route as it is served.
	ID, Fingerprint string
	// Problem is why a part of its filter matches nothing, empty if all is well.
	Problem string
}

// Served returns, in no order, the routes that are delivered to now, in the way
// that their Fingerprint says. It waits for an Apply that is under way.
func (d *Dispatcher) Served() []Served {
	d.applying.Lock()
	defer d.applying.Unlock()
	if d.closed {
		return nil
	}
	pumps := d.all()
	served := make([]Served, 0, len(pumps))
	for _, p := range pumps {
		if b := p.route.Load(); p.serves(b) {
			served = append(served, Served{p.key.stream, p.key.id, b.fingerprint, b.mistake})
		}
	}
	return served
}

// serves reports whether the pump takes deliveries for exactly b.
func (p *pump) serves(b *bound) bool {
	return p.crew != nil && !p.closed.Load() && p.told == b
}

// Release reports whether nothing of a stream is in use any more, and lets go
// of its routes' dead letters: from then on, until the stream is applied again,
// nothing is stored for it, so that it can be removed. While deliveries are
// still under way it changes nothing and answers false; Options.Retired tells
// when to ask again.
func (d *Dispatcher) Release(stream routing.StreamName) bool {
	d.applying.Lock()
	defer d.applying.Unlock()
	d.mu.RLock()
	defer d.mu.RUnlock()
	for key := range d.pumps {
		if key.stream == stream {
			return false
		}
	}
	for key, dr := range d.draining {
		if key.stream != stream {
			continue
		}
		select {
		case <-dr.done:
		default:
			return false
		}
	}
	d.letters.forgetStream(stream)
	return true
}
