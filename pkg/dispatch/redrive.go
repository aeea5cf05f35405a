package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Errors of Redrive.
var (
	ErrNoRoute        = errors.New("there is no such route")
	ErrRedriveRunning = errors.New("the dead letters of this route are being re-driven; wait until that has ended")
)

// redriveBatch is how many dead letters are in memory at once.
const redriveBatch = 8

// Redriven says what a re-drive came to.
type Redriven struct {
	// Delivered dead letters were accepted, and are gone.
	Delivered int `json:"delivered"`
	// Failed ones are kept as the newest dead letters, with the new error.
	Failed int `json:"failed"`
	// LastError is the newest of these errors, bounded.
	LastError string `json:"lastError,omitempty"`
}

// Redrive makes one attempt with each of a route's own dead letters, oldest
// first, from the oldest up to seq to; 0 means all there are now. A dead letter
// goes only where it could not be delivered: to the subscriber of the route as
// it is now, or a reply to its destination. It is dropped after it was accepted
// or stored again, so what a crash or the end of ctx interrupts is repeated and
// nothing is lost. Redrive returns early when ctx ends or the store fails.
func (d *Dispatcher) Redrive(ctx context.Context, stream routing.StreamName, route string, to engine.Seq) (Redriven, error) {
	p := d.pump(routeKey{stream, route})
	if p == nil {
		return Redriven{}, fmt.Errorf("%w: %s in %s", ErrNoRoute, route, stream)
	}
	b := p.route.Load()
	if !b.pumped() {
		return Redriven{}, fmt.Errorf("%s cannot be served now: %s", b.route, b.route.Unresolved)
	}
	select {
	case p.redrive <- struct{}{}:
		defer func() { <-p.redrive }()
	default:
		return Redriven{}, ErrRedriveRunning
	}
	if p.attempts.Err() != nil {
		return Redriven{}, fmt.Errorf("%w any more: %s in %s", ErrNoRoute, route, stream)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.attempts, cancel)()

	s, err := d.letters.look(ctx, b.route)
	if s == nil || err != nil {
		return Redriven{}, err
	}
	state, err := s.State(ctx)
	if err != nil {
		return Redriven{}, err
	}
	if to == 0 || to > state.Head {
		to = state.Head
	}
	r := redrive{pump: p, bound: b, stream: s}
	err = r.run(ctx, state.First, to)
	return r.done, err
}

// redrive is one run of Redrive.
type redrive struct {
	*pump
	bound  *bound
	stream engine.Stream
	done   Redriven
}

func (r *redrive) run(ctx context.Context, from, to engine.Seq) error {
	for from <= to {
		records, err := r.stream.Read(ctx, from, int(min(redriveBatch, to-from+1)))
		if err != nil || len(records) == 0 {
			return err
		}
		for _, record := range records {
			if record.Seq > to {
				return nil
			}
			if err := r.one(ctx, record); err != nil {
				return err
			}
			from = record.Seq + 1
			if err := r.stream.TrimTo(ctx, from); err != nil {
				return err
			}
		}
	}
	return nil
}

// one makes an attempt; after nil the record may go.
func (r *redrive) one(ctx context.Context, record engine.Record) error {
	e, err := cloudevent.Decode(record.Data)
	if err != nil {
		return r.keepAgain(ctx, engine.Payload{Data: record.Data, Settles: true}, fmt.Sprintf("record %d cannot be read: %v", record.Seq, err))
	}
	res := r.attempt(ctx, e)
	r.count(res)
	switch res.do {
	case ack:
		r.done.Delivered++
		return nil
	case bury:
		letter := e
		if res.failure.event != nil {
			letter = *res.failure.event
			letter.SetInt(ttlAttribute, int32(hopsAfter(&e)+1))
		}
		res.failure.mark(&letter)
		return r.keepAgain(ctx, payload(&letter), res.failure.String())
	case release:
		return fmt.Errorf("re-driving record %d: %w", record.Seq, context.Cause(ctx))
	case hold:
		return fmt.Errorf("re-driving record %d: our own store failed: %s", record.Seq, res.failure.outcome.Body)
	}
	panic(fmt.Sprintf("BUG: invariant 5: re-drive ended with action %d", res.do))
}

// attempt sends a dead letter where it could not be delivered. It counts as
// the last attempt, after which nothing is retried.
func (r *redrive) attempt(ctx context.Context, e cloudevent.Event) result {
	b := r.bound
	failedAt, _ := e.Get(errorDest)
	unmark(&e)
	last := b.route.Delivery.Retry
	if b.second != nil && failedAt == deliver.WithoutUser(b.second.URL) && failedAt != deliver.WithoutUser(b.first.URL) {
		return r.courier.forward(ctx, b, last, hopsAfter(&e), &e)
	}
	return r.courier.try(ctx, b, last, e, time.Now())
}

func (r *redrive) keepAgain(ctx context.Context, letter engine.Payload, reason string) error {
	if err := r.letters.append(ctx, r.bound.route, letter); err != nil {
		return err
	}
	r.done.Failed++
	r.done.LastError = bounded(reason)
	return nil
}
