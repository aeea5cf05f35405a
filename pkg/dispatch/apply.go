package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// parallel bounds how many consumers are opened at once: creating one waits
// for the disk, and many at once share that.
const parallel = 32

// draining is a pump whose route is gone while its deliveries still end.
type draining struct {
	pump *pump
	// remove: the consumer goes with its route.
	remove bool
	done   chan struct{}
}

// Apply brings the pumps in step with a table. streams are the open streams of
// the table by name; the routes of a stream that is not among them are not
// pumped. A delivery under way keeps the route it began with (invariant 9) and
// is not waited for, unless its route went and came back.
//
//	the route is         pump                  its consumer in the engine
//	new                  started               opened, or created
//	changed              has the new route     updated
//	unresolved           takes nothing         keeps its place; is not created
//	gone                 stopped               removed if the table is complete
//	gone with its stream stopped               kept: manifests that cannot be
//	                                           read must not erase events
//
// Consumers that no route of a complete table names are removed. After an
// error what could be done is done, and Apply is to be called again.
func (d *Dispatcher) Apply(ctx context.Context, table *routing.Table, streams map[routing.StreamName]engine.Stream) error {
	d.applying.Lock()
	defer d.applying.Unlock()
	if d.closed {
		return ErrClosed
	}
	a := application{Dispatcher: d, table: table, streams: streams}
	a.retire()
	a.serve(ctx)
	return errors.Join(a.errs...)
}

// application is one call of Apply.
type application struct {
	*Dispatcher
	table   *routing.Table
	streams map[routing.StreamName]engine.Stream

	mu   sync.Mutex
	errs []error
}

func (a *application) fail(err error) {
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.errs = append(a.errs, err)
	}
}

// retire stops the pumps whose route or stream is gone.
func (a *application) retire() {
	wanted := map[routeKey]bool{}
	for name, s := range a.table.Streams {
		for _, r := range s.Routes {
			wanted[routeKey{name, r.ID}] = true
		}
	}
	for _, p := range a.all() {
		same := a.streams[p.key.stream] == p.stream
		if wanted[p.key] && same && !p.closed.Load() {
			continue
		}
		remove := a.table.Complete && same && a.table.Streams[p.key.stream] != nil && !wanted[p.key]
		a.retirePump(p, remove)
	}
}

func (d *Dispatcher) retirePump(p *pump, remove bool) {
	p.stop()
	d.mu.Lock()
	delete(d.pumps, p.key)
	d.mu.Unlock()
	dr := &draining{pump: p, remove: remove, done: make(chan struct{})}
	d.draining[p.key] = dr
	d.drains.Go(func() {
		defer d.retired()
		defer close(dr.done)
		late := time.AfterFunc(d.drain, p.cut)
		err := p.close()
		late.Stop()
		if remove {
			err = errors.Join(err, p.stream.RemoveConsumer(d.settling, p.key.id))
			d.letters.forget(p.route.Load().route)
		}
		if err != nil && !errors.Is(err, engine.ErrClosed) {
			d.logger.Warn("A route that is gone could not be closed.",
				"stream", p.key.stream.String(), "route", p.key.id, "error", err)
		}
	})
}

// finish ends the drain of a route that is wanted again.
func (d *Dispatcher) finish(key routeKey) {
	if dr := d.draining[key]; dr != nil {
		dr.pump.cut()
		<-dr.done
		delete(d.draining, key)
	}
}

// serve opens and updates what the table wants, and removes what it does not.
func (a *application) serve(ctx context.Context) {
	maps.DeleteFunc(a.draining, func(_ routeKey, dr *draining) bool {
		select {
		case <-dr.done:
			return true
		default:
			return false
		}
	})
	var todo errgroup.Group
	todo.SetLimit(parallel)
	for name, s := range a.table.Streams {
		stream := a.streams[name]
		if stream == nil {
			continue
		}
		stored, err := stream.Consumers(ctx)
		if err != nil {
			a.fail(fmt.Errorf("listing the consumers of %s: %w", name, err))
			continue
		}
		wanted := make(map[string]bool, len(s.Routes))
		for _, r := range s.Routes {
			wanted[r.ID] = true
			key := routeKey{name, r.ID}
			if p := a.pump(key); p != nil {
				todo.Go(func() error { a.fail(a.update(ctx, p, r)); return nil })
				continue
			}
			a.finish(key)
			if _, found := slices.BinarySearch(stored, r.ID); found || r.Unresolved == "" {
				todo.Go(func() error { a.fail(a.open(ctx, stream, key, r)); return nil })
			}
		}
		if a.table.Complete {
			a.removeStrays(ctx, name, stream, stored, wanted)
		}
	}
	_ = todo.Wait() // the errors are in a.errs
}

// removeStrays removes the consumers of routes that went while nobody looked.
func (a *application) removeStrays(ctx context.Context, name routing.StreamName, s engine.Stream, stored []string, wanted map[string]bool) {
	for _, id := range stored {
		key := routeKey{name, id}
		if wanted[id] {
			continue
		}
		if dr := a.draining[key]; dr != nil {
			if dr.remove {
				continue
			}
			a.finish(key)
		}
		if err := s.RemoveConsumer(ctx, id); err != nil {
			a.fail(fmt.Errorf("removing the consumer %s of %s: %w", id, name, err))
		}
	}
}

// open starts the pump of a route that has none.
func (d *Dispatcher) open(ctx context.Context, s engine.Stream, key routeKey, r *routing.Route) error {
	b := bind(r, d.observe)
	consumer, err := s.Consumer(ctx, b.spec)
	if err != nil {
		return fmt.Errorf("opening the consumer of %s: %w", r, err)
	}
	p := &pump{
		key: key, stream: s, consumer: consumer, courier: &d.courier, letters: &d.letters, settling: d.settling,
		redrive: make(chan struct{}, 1),
	}
	p.memory.budget = &d.budget
	p.attempts, p.cut = context.WithCancel(d.attempts)
	p.route.Store(b)
	p.told = b
	d.mu.Lock()
	d.pumps[key] = p
	d.mu.Unlock()
	if b.pumped() {
		p.start()
	}
	return nil
}

// update gives a pump the newest generation of its route. The route comes
// before the consumer's spec: a filter that became wider must be there before
// the engine hands out what it lets through.
func (d *Dispatcher) update(ctx context.Context, p *pump, r *routing.Route) error {
	b := p.route.Load()
	if !reflect.DeepEqual(b.route, r) {
		b = bind(r, d.observe)
		p.route.Store(b)
	}
	if !b.pumped() {
		p.stop()
	}
	if !reflect.DeepEqual(p.told.spec, b.spec) {
		if err := p.consumer.Update(ctx, b.spec); err != nil {
			return fmt.Errorf("updating the consumer of %s: %w", r, err)
		}
	}
	p.told = b
	if b.pumped() {
		p.start()
	}
	return nil
}
