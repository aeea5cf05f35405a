package embedded

import (
	"context"
	"sync"
	"time"

	"leat.dev/leat/pkg/cursor"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

const (
	// fetchRecords and fetchBytes bound what a consumer reads ahead.
	fetchRecords = 128
	fetchBytes   = 1 << 20
	// maxUnsettled bounds the memory of a consumer whose retries pile up or
	// whose lanes are all busy: past it nothing new is begun until something
	// settles.
	maxUnsettled = 100_000
)

// consumer is a route's progress, whether anybody has it open or not.
type consumer struct {
	stream *stream
	name   string
	// wake holds a token when Next may have something to do. Who takes the
	// token and leaves work behind puts it back, so that one token is enough
	// for any number of waiters.
	wake chan struct{}

	mu       sync.Mutex
	cur      *cursor.Cursor
	spec     engine.ConsumerSpec
	interest interest
	ahead    []eventlog.Record // read and not begun
	handle   *handle           // nil: not open

	// These belong to stream.mu.
	idle         bool
	idleInterest interest
	resumeAt     uint64
}

func newConsumer(s *stream, name string, cur *cursor.Cursor) *consumer {
	return &consumer{stream: s, name: name, wake: make(chan struct{}, 1), cur: cur}
}

func (c *consumer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// handle is one opening of a consumer. It implements engine.Consumer.
type handle struct {
	c      *consumer
	closed chan struct{}
}

var _ engine.Consumer = (*handle)(nil)

func (c *consumer) open(spec engine.ConsumerSpec) (*handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handle != nil {
		c.closeLocked()
	}
	c.spec, c.interest = spec, newInterest(spec.Interest)
	c.handle = &handle{c, make(chan struct{})}
	return c.handle, nil
}

func (c *consumer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked()
}

func (c *consumer) closeLocked() {
	if c.handle == nil {
		return
	}
	close(c.handle.closed)
	c.handle = nil
	c.ahead = nil
	c.leaveIdle()
	c.cur.ReleaseAll()
}

// leaveIdle ends idling: what came meanwhile and was not wanted is settled.
func (c *consumer) leaveIdle() {
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.idle {
		s.idle.remove(c)
		c.idle = false
		c.resumeAt = s.head + 1
	}
	c.cur.SkipTo(c.resumeAt)
}

// tryIdle starts idling if everything up to the head was seen.
func (c *consumer) tryIdle() bool {
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.cur.Next() <= s.head {
		return false
	}
	c.idle, c.idleInterest = true, c.interest
	s.idle.add(c)
	return true
}

// Next implements engine.Consumer.
func (h *handle) Next(ctx context.Context) (engine.Delivery, error) {
	c := h.c
	for {
		c.mu.Lock()
		if c.handle != h {
			c.mu.Unlock()
			return engine.Delivery{}, engine.ErrClosed
		}
		d, found, err := c.take()
		wait := c.untilDue()
		c.mu.Unlock()
		switch {
		case err != nil:
			c.signal()
			return engine.Delivery{}, translate(err)
		case found == delivery:
			c.signal()
			return d, nil
		case found == unwanted && ctx.Err() == nil:
			continue
		}
		if err := h.wait(ctx, wait); err != nil {
			c.signal() // another caller may have to wait for what this one waited for
			return engine.Delivery{}, err
		}
	}
}

// wait returns when there may be something to do.
func (h *handle) wait(ctx context.Context, untilDue time.Duration) error {
	var due <-chan time.Time
	if untilDue >= 0 {
		timer := time.NewTimer(untilDue)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-h.c.wake:
		return nil
	case <-due:
		return nil
	case <-h.closed:
		return engine.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// untilDue is the time until a parked retry is due, negative if there is none
// or no slot for it.
func (c *consumer) untilDue() time.Duration {
	at, _, ok := c.cur.NextDue()
	if !ok || c.cur.InFlight() >= c.spec.MaxInFlight || !c.mayRetry() {
		return -1
	}
	return max(0, time.Duration(at-c.stream.engine.clock.now()))
}

// retrySlots is how many slots retries may have at once. A quarter, unless
// there are fewer than four, is for events that were not tried before: those
// whose attempts hang for long must not have every slot whenever they are due.
func (c *consumer) retrySlots() int { return c.spec.MaxInFlight - c.spec.MaxInFlight/4 }

// mayRetry says whether there is a slot for what is due next.
func (c *consumer) mayRetry() bool {
	_, attempt, ok := c.cur.NextDue()
	return ok && (attempt == 0 || c.cur.Again() < c.retrySlots())
}

// found is what take came upon.
type found int

const (
	nothing  found = iota
	unwanted       // only records that are not to be delivered now; there may be more
	delivery
)

// take begins the next delivery, if there is one and a slot for it. It looks at
// no more records than are read ahead at once, so that a long backlog that is
// not wanted keeps nobody waiting for c.mu.
func (c *consumer) take() (engine.Delivery, found, error) {
	if c.cur.InFlight() >= c.spec.MaxInFlight {
		return engine.Delivery{}, nothing, nil
	}
	if c.mayRetry() {
		if seq, attempt, ok := c.cur.TakeDue(c.stream.engine.clock.now()); ok {
			return c.retake(seq, attempt)
		}
	}
	if len(c.ahead) == 0 {
		if more, err := c.fetch(); err != nil || !more {
			return engine.Delivery{}, nothing, err
		}
	}
	for len(c.ahead) > 0 {
		if c.cur.Unsettled() >= maxUnsettled {
			return engine.Delivery{}, nothing, nil
		}
		r := c.ahead[0]
		c.ahead[0] = eventlog.Record{}
		c.ahead = c.ahead[1:]
		if c.begin(&r) {
			return engine.Delivery{Record: toRecord(&r)}, delivery, nil
		}
	}
	return engine.Delivery{}, unwanted, nil
}

// begin says whether the record is to be delivered now.
func (c *consumer) begin(r *eventlog.Record) bool {
	c.cur.SkipTo(r.Seq)
	if !c.interest.wants(&r.Tag) {
		c.cur.SkipTo(r.Seq + 1)
		return false
	}
	lane := uint64(cursor.NoLane)
	if c.spec.Ordered {
		lane = tagLane(&r.Tag)
	}
	return c.cur.Begin(lane)
}

// retake reads a record again whose time has come.
func (c *consumer) retake(seq uint64, attempt int) (engine.Delivery, found, error) {
	records, err := c.stream.log.Read(nil, seq, 1, 1)
	if err != nil {
		_ = c.cur.Release(seq) // it was in flight a line ago
		return engine.Delivery{}, nothing, err
	}
	if len(records) == 0 || records[0].Seq != seq {
		c.stream.engine.opts.Logger.Error("a record that waited for its retry is gone",
			"stream", c.stream.log.Name(), "consumer", c.name, "seq", seq)
		_ = c.cur.Settle(seq)
		return engine.Delivery{}, unwanted, nil
	}
	return engine.Delivery{Record: toRecord(&records[0]), Attempt: attempt}, delivery, nil
}

// fetch reads ahead. At the head it starts to idle and returns false.
func (c *consumer) fetch() (more bool, err error) {
	for !c.idling() {
		c.ahead, err = c.stream.log.Read(c.ahead[:0], c.cur.Next(), fetchRecords, fetchBytes)
		if err != nil || len(c.ahead) > 0 {
			return len(c.ahead) > 0, err
		}
		c.ahead = nil
		if c.tryIdle() {
			break
		}
	}
	return false, nil
}

// idling says whether the consumer idles still; if the stream has woken it, it
// goes on where it was woken.
func (c *consumer) idling() bool {
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.idle {
		c.cur.SkipTo(c.resumeAt)
	}
	return c.idle
}

// settled runs a transition of the cursor and wakes who waits for a slot.
func (h *handle) settled(f func(*cursor.Cursor) error) error {
	c := h.c
	c.mu.Lock()
	if c.handle != h {
		c.mu.Unlock()
		return engine.ErrClosed
	}
	wasFull := c.cur.InFlight() >= c.spec.MaxInFlight || c.cur.Unsettled() >= maxUnsettled || c.cur.Again() >= c.retrySlots()
	parked := c.cur.Parked()
	err := f(c.cur)
	wake := wasFull || c.cur.Parked() != parked
	c.mu.Unlock()
	if wake {
		c.signal()
	}
	if err != nil {
		return errNotInFlight(err)
	}
	return nil
}

// Ack implements engine.Consumer.
func (h *handle) Ack(_ context.Context, seq engine.Seq) error {
	return h.settled(func(cur *cursor.Cursor) error { return cur.Settle(uint64(seq)) })
}

// Retry implements engine.Consumer.
func (h *handle) Retry(_ context.Context, seq engine.Seq, after time.Duration) error {
	now := h.c.stream.engine.clock.now()
	return h.settled(func(cur *cursor.Cursor) error { return cur.Park(uint64(seq), now, int64(after)) })
}

// Release implements engine.Consumer.
func (h *handle) Release(_ context.Context, seq engine.Seq) error {
	return h.settled(func(cur *cursor.Cursor) error { return cur.Release(uint64(seq)) })
}

// Update implements engine.Consumer.
func (h *handle) Update(_ context.Context, spec engine.ConsumerSpec) error {
	if err := checkSpec(spec); err != nil {
		return err
	}
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handle != h {
		return engine.ErrClosed
	}
	c.leaveIdle()
	c.spec, c.interest = spec, newInterest(spec.Interest)
	c.signal()
	return nil
}

// Close implements engine.Consumer.
func (h *handle) Close() error {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.c.handle == h {
		h.c.closeLocked()
	}
	return nil
}
