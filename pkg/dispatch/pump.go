package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
)

// pump serves one route: it takes deliveries from the route's consumer and
// settles each. Its fields are set once; crew belongs to Apply and Close.
type pump struct {
	key      routeKey
	stream   engine.Stream
	consumer engine.Consumer
	courier  *courier
	letters  *letters
	// route is swapped when the table changes; a delivery loads it once.
	route atomic.Pointer[bound]
	// attempts ends when attempts under way are to be cut off.
	attempts context.Context
	cut      context.CancelFunc
	// settling outlives attempts, so that what was cut off can be given back.
	settling context.Context

	crew *crew // nil while the route is not pumped
	// told is the generation whose spec the consumer has: an older one than
	// route's after an update that failed. It belongs to Apply.
	told *bound
	wg   sync.WaitGroup
	// closed is set when the engine has closed the consumer under the pump.
	closed atomic.Bool
	// full is since when our own store has had no room, nil if it has.
	full    atomic.Pointer[time.Time]
	memory  memory
	counted counters
	last    lastError
	// redrive has room for the token of the one re-drive that may run.
	redrive chan struct{}
}

// start makes the pump take deliveries, or changes how many at once.
func (p *pump) start() {
	limit := p.route.Load().spec.MaxInFlight
	if p.crew != nil {
		p.crew.setLimit(limit)
		return
	}
	p.crew = newCrew(context.Background(), &p.wg, limit, p.work)
}

// stop makes the pump take no more deliveries. Those in flight go on.
func (p *pump) stop() {
	if p.crew != nil {
		p.crew.stop()
		p.crew = nil
	}
}

// close waits for the deliveries in flight, after stop, ends a re-drive and
// closes the consumer. Afterwards nothing is stored for the route any more.
func (p *pump) close() error {
	p.wg.Wait()
	p.cut()
	p.redrive <- struct{}{}
	<-p.redrive
	p.memory.clear()
	return p.consumer.Close()
}

// work is a worker's life.
func (p *pump) work(c *crew) {
	for {
		d, err := p.consumer.Next(c.ctx)
		switch {
		case err != nil && p.survives(c, err):
			continue
		case err != nil:
			c.gone()
			return
		}
		started := time.Now()
		b := p.route.Load()
		if c.ctx.Err() != nil || !b.pumped() {
			p.release(d.Seq)
			c.gone()
			return
		}
		e, ok := p.sift(b, d)
		if !ok {
			continue
		}
		c.took()
		p.serve(c, b, d, &e, started)
		if !c.again() {
			return
		}
	}
}

// survives waits a moment after an error of Next, and reports whether there is
// a point in going on.
func (p *pump) survives(c *crew, err error) bool {
	if c.ctx.Err() != nil {
		return false
	}
	if errors.Is(err, engine.ErrClosed) {
		p.closed.Store(true)
		return false
	}
	p.last.set("reading the next event: " + err.Error())
	return pause(c.ctx, time.Second)
}

// pause waits and reports whether ctx has let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sift settles what is not for the subscriber. A filter is evaluated at the
// first attempt alone: "exactly once" (control-plane spec, Content Based
// Routing).
func (p *pump) sift(b *bound, d engine.Delivery) (cloudevent.Event, bool) {
	e, err := cloudevent.Decode(d.Data)
	if err != nil {
		p.last.set(fmt.Sprintf("record %d cannot be read and is kept as it is in the dead letters: %v", d.Seq, err))
		p.keep(b, d, engine.Payload{Data: d.Data, Settles: true}, failure{})
		return e, false
	}
	if d.Attempt == 0 && !b.filter.Match(&e) {
		p.ack(d.Seq)
		p.counted.filtered.Add(1)
		b.observe.Settled(Filtered)
		return e, false
	}
	return e, true
}

// serve makes one attempt with a delivery and settles it. Attempts 0 to Retry
// are the subscriber's. What has failed for good, and every later attempt, is
// a dead letter whose sink has failed before: the subscriber had its chances.
func (p *pump) serve(c *crew, b *bound, d engine.Delivery, e *cloudevent.Event, started time.Time) {
	f, failed := p.memory.take(d.Seq)
	failed = failed && d.Attempt > 0 // else it is of before a seek
	if !failed && d.Attempt > b.route.Delivery.Retry {
		f, failed = failure{dest: deliver.WithoutUser(b.first.URL), tries: d.Attempt - b.route.Delivery.Retry}, true
	}
	if failed {
		p.bury(b, d, e, f)
		return
	}
	res := p.courier.try(p.attempts, b, d.Attempt, *e, started)
	p.count(res)
	switch res.do {
	case ack:
		p.full.Store(nil)
		p.ack(d.Seq)
		p.counted.delivered.Add(1)
		b.observe.Settled(Delivered)
	case retry:
		p.last.set(res.failure.String())
		p.retry(d.Seq, res.after)
		p.counted.retried.Add(1)
		b.observe.Settled(Retried)
	case bury:
		p.last.set(res.failure.String())
		p.bury(b, d, e, res.failure)
	case hold:
		p.hold(c, b, d, res.failure)
	case release:
		p.release(d.Seq)
	default:
		panic(fmt.Sprintf("BUG: invariant 5: attempt ended with action %d", res.do))
	}
}

func (p *pump) count(res result) {
	if res.replied {
		p.counted.replies.Add(1)
	}
	if res.dropped {
		p.counted.dropped.Add(1)
	}
	if res.hopsUsedUp {
		p.counted.hopsUsedUp.Add(1)
	}
}

// hold keeps a delivery in its slot while our own store has no room, so that
// we do not take more of what cannot end, and gives it back unattempted.
func (p *pump) hold(c *crew, b *bound, d engine.Delivery, f failure) {
	now := time.Now()
	since := now
	if !p.full.CompareAndSwap(nil, &now) {
		if full := p.full.Load(); full != nil {
			since = *full
		}
	}
	p.last.set("our own store failed, the delivery starts again soon: " + f.String() + ": " + string(f.outcome.Body))
	p.counted.held.Add(1)
	b.observe.Settled(Held)
	pause(c.ctx, holdDelay(now.Sub(since)))
	p.release(d.Seq)
}

// bury makes a dead letter of an event that cannot be delivered, or of the
// reply to it, and settles the delivery when it is safe.
func (p *pump) bury(b *bound, d engine.Delivery, e *cloudevent.Event, f failure) {
	hops := hopsAfter(e)
	letter := *e
	if f.event != nil {
		letter = *f.event
	}
	f.mark(&letter)
	sink := b.route.Delivery.DeadLetterSink
	if sink == nil || sink.Local != nil && hops < 1 {
		letter.SetInt(ttlAttribute, int32(hops+1))
		p.keep(b, d, payload(&letter), f)
		return
	}
	o := p.courier.send(p.attempts, b.route, sending{to: sink, event: letter, hops: hops})
	if deliver.Classify(o) == deliver.Delivered {
		p.buried(b, d)
		return
	}
	p.unburied(b, d, f, o, "the dead letter sink "+newFailure(sink.URL, o).String())
}

// keep stores a dead letter in the route's own.
func (p *pump) keep(b *bound, d engine.Delivery, letter engine.Payload, f failure) {
	if err := p.letters.append(p.attempts, b.route, letter); err != nil {
		p.unburied(b, d, f, deliver.Outcome{}, err.Error())
		return
	}
	p.buried(b, d)
}

func (p *pump) buried(b *bound, d engine.Delivery) {
	p.ack(d.Seq)
	p.counted.deadLettered.Add(1)
	b.observe.Settled(DeadLettered)
}

// unburied puts a dead letter off whose sink, or store, has failed.
func (p *pump) unburied(b *bound, d engine.Delivery, f failure, o deliver.Outcome, reason string) {
	after := sinkDelay(b.route.Delivery, f.tries, o, rand.Float64())
	if p.attempts.Err() == nil {
		f.tries++
	}
	if f.dest != "" { // else there is nothing to know
		p.memory.put(d.Seq, f)
	}
	if p.attempts.Err() != nil {
		p.release(d.Seq)
		return
	}
	p.last.set("the event is kept, and tried again: " + reason)
	p.retry(d.Seq, after)
	p.counted.sinkFailed.Add(1)
	b.observe.Settled(SinkFailed)
}

func payload(e *cloudevent.Event) engine.Payload {
	return engine.Payload{Data: e.AppendStored(nil), Type: e.Type(), Source: e.Source(), Key: e.Key(), Settles: true}
}

func (p *pump) ack(seq engine.Seq) { p.settled(seq, p.consumer.Ack(p.settling, seq)) }

func (p *pump) retry(seq engine.Seq, after time.Duration) {
	p.settled(seq, p.consumer.Retry(p.settling, seq, after))
}

// settled gives back a delivery that could not be settled, so that it does not
// hold its slot for ever.
func (p *pump) settled(seq engine.Seq, err error) {
	if err == nil || errors.Is(err, engine.ErrClosed) {
		return
	}
	p.last.set(fmt.Sprintf("settling record %d: %v", seq, err))
	p.release(seq)
}

func (p *pump) release(seq engine.Seq) {
	err := p.consumer.Release(p.settling, seq)
	if err != nil && !errors.Is(err, engine.ErrClosed) && !errors.Is(err, engine.ErrNotInFlight) {
		p.last.set(fmt.Sprintf("giving back record %d: %v", seq, err))
	}
}
