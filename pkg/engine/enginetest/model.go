package enginetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
)

// rowState is where a record stands with a consumer, by the model.
type rowState int

const (
	pending  rowState = iota // not delivered yet
	flying                   // in flight
	ready                    // may come back
	sleeping                 // parked for a time that does not come
)

type modelRow struct {
	state   rowState
	attempt int
}

// modelConsumer is a consumer as plain as can be: all that is not settled.
type modelConsumer struct {
	spec engine.ConsumerSpec
	open engine.Consumer // nil if closed
	rows map[engine.Seq]*modelRow
	// left are the deliveries of before a seek that are in flight still.
	left map[engine.Seq]bool
}

// modelStream is a stream as a slice.
type modelStream struct {
	name      string
	open      engine.Stream
	texts     []string // texts[0] is seq 1
	trimTo    engine.Seq
	consumers map[string]*modelConsumer
}

func (m *modelStream) head() engine.Seq { return engine.Seq(len(m.texts)) }

func (m *modelStream) key(seq engine.Seq) string { return m.texts[seq-1][:1] }

func (c *modelConsumer) floor(head engine.Seq) engine.Seq {
	floor := head + 1
	for seq := range c.rows {
		floor = min(floor, seq)
	}
	return floor
}

func (c *modelConsumer) count(s rowState) (n int) {
	for _, r := range c.rows {
		if r.state == s {
			n++
		}
	}
	return n
}

func (c *modelConsumer) inFlight() int { return c.count(flying) + len(c.left) }

// may says whether a record may be delivered now.
func (c *modelConsumer) may(m *modelStream, seq engine.Seq) bool {
	r := c.rows[seq]
	if r == nil || r.state != pending && r.state != ready || c.inFlight() >= c.spec.MaxInFlight || c.left[seq] {
		return false
	}
	for other := range c.left {
		if c.spec.Ordered && m.key(other) == m.key(seq) {
			return false
		}
	}
	for other, o := range c.rows {
		if other >= seq {
			continue
		}
		if !c.spec.Ordered && r.state == pending && o.state == pending {
			return false // new ones come in order
		}
		if c.spec.Ordered && m.key(other) == m.key(seq) {
			return false
		}
	}
	return true
}

// closed: what was in flight may come back.
func (c *modelConsumer) closed() {
	c.open = nil
	clear(c.left)
	for _, r := range c.rows {
		if r.state == flying {
			r.state = ready
		}
	}
}

// modelRun is an engine and what the model says of it. Its methods return the
// first disagreement.
type modelRun struct {
	t        testing.TB
	ctx      context.Context
	patience time.Duration
	h        Harness
	engine   engine.Engine
	m        *modelStream
}

// disagreement makes the calls on a new store and returns the first place at
// which the engine and the model disagree, with why, or nil. A delivery that
// does not come within the patience is a disagreement.
func disagreement(t testing.TB, h Harness, patience time.Duration, calls []call) (at int, err error) {
	ctx, stop := context.WithTimeout(t.Context(), 20*patience+time.Minute)
	defer stop()
	r := &modelRun{t: t, ctx: ctx, patience: patience, h: h, engine: h.Open(t)}
	defer func() { err = errors.Join(err, r.engine.Close()) }()
	if err := r.newStream(); err != nil {
		return 0, err
	}
	for i, c := range calls {
		if err := r.do(c); err != nil {
			return i, fmt.Errorf("%s: %w", c, err)
		}
	}
	return 0, nil
}

func (r *modelRun) newStream() error {
	r.m = &modelStream{name: "s", consumers: map[string]*modelConsumer{}}
	return r.openStream()
}

func (r *modelRun) openStream() (err error) {
	r.m.open, err = r.engine.Stream(r.ctx, engine.StreamSpec{Name: r.m.name, Retention: engine.KeepForever})
	return err
}

func (r *modelRun) do(c call) error {
	m := r.m
	consumer := m.consumers[c.who]
	switch c.op {
	case removeStream:
		if err := r.engine.Remove(r.ctx, m.name); err != nil {
			return err
		}
		return r.newStream()
	case reopen:
		return r.reopen()
	case removeConsumer:
		delete(m.consumers, c.who)
		return m.open.RemoveConsumer(r.ctx, c.who)
	case trim:
		to := engine.Seq(c.n % (len(m.texts) + 3))
		m.trimTo = max(m.trimTo, to)
		return m.open.TrimTo(r.ctx, to)
	case seek:
		return r.seek(c)
	case appendBatch:
		return r.append(c.keys)
	case compare:
		return r.compare()
	}
	switch {
	case consumer == nil || consumer.open == nil:
		return r.open(c)
	case c.op == closeConsumer:
		defer consumer.closed()
		return consumer.open.Close()
	default:
		return r.deliver(consumer, c)
	}
}

func (r *modelRun) reopen() error {
	if err := r.engine.Close(); err != nil {
		return err
	}
	r.engine = r.h.Open(r.t)
	for _, c := range r.m.consumers {
		c.closed()
	}
	return r.openStream()
}

func (r *modelRun) append(keys string) error {
	m := r.m
	var batch []engine.Payload
	for _, key := range keys {
		text := fmt.Sprintf("%c%d", key, len(m.texts))
		m.texts = append(m.texts, text)
		batch = append(batch, engine.Payload{Data: []byte(text), Type: "t", Key: text[:1]})
		for _, c := range m.consumers {
			c.rows[m.head()] = &modelRow{}
		}
	}
	first, err := m.open.Append(r.ctx, batch...)
	if want := m.head() + 1 - engine.Seq(len(batch)); err == nil && first != want {
		return fmt.Errorf("the first seq is %d, by the model %d", first, want)
	}
	return err
}

func (r *modelRun) open(c call) error {
	m := r.m
	consumer := m.consumers[c.who]
	isNew := consumer == nil
	if isNew {
		consumer = &modelConsumer{rows: map[engine.Seq]*modelRow{}, left: map[engine.Seq]bool{}, spec: c.spec}
		m.consumers[c.who] = consumer
	}
	open, err := m.open.Consumer(r.ctx, consumer.spec)
	if err != nil {
		return err
	}
	consumer.open = open
	if !isNew || !consumer.spec.FromEarliest {
		return nil
	}
	// A trim that is under way may be seen or not.
	st, err := open.State(r.ctx)
	for seq := st.Floor; seq <= m.head(); seq++ {
		consumer.rows[seq] = &modelRow{}
	}
	return err
}

// deliver takes one delivery, if the model has one, and settles one.
func (r *modelRun) deliver(c *modelConsumer, step call) error {
	available := false
	for seq := range c.rows {
		available = available || c.may(r.m, seq)
	}
	switch {
	case available:
		ctx, cancel := context.WithTimeout(r.ctx, r.patience)
		defer cancel()
		d, err := c.open.Next(ctx)
		if err != nil {
			return fmt.Errorf("no delivery comes, though there is one by the model: %w", err)
		}
		if row := c.rows[d.Seq]; !c.may(r.m, d.Seq) || row.attempt != d.Attempt || string(d.Data) != r.m.texts[d.Seq-1] {
			return fmt.Errorf("delivery %s, by the model %+v", show(d), row)
		}
		c.rows[d.Seq].state = flying
	case step.probe:
		ctx, cancel := context.WithTimeout(r.ctx, 2*time.Millisecond)
		defer cancel()
		if d, err := c.open.Next(ctx); err == nil {
			return fmt.Errorf("delivery %s, by the model none", show(d))
		}
	}
	seq := c.floor(r.m.head()) + engine.Seq(step.n)
	if len(c.left) > 0 && step.n == 0 {
		seq = slices.Min(slices.Collect(maps.Keys(c.left)))
	}
	return r.settle(c, step.how, seq)
}

func (r *modelRun) settle(c *modelConsumer, how settlement, seq engine.Seq) (err error) {
	row := c.rows[seq]
	left := c.left[seq]
	if left { // and that is all
		delete(c.left, seq)
		row = &modelRow{}
	}
	legal := left || row != nil && row.state == flying
	switch how {
	case parkLong:
		if err = c.open.Retry(r.ctx, seq, time.Hour); legal {
			row.state, row.attempt = sleeping, row.attempt+1
		}
	case parkShort:
		if err = c.open.Retry(r.ctx, seq, 0); legal {
			row.state, row.attempt = ready, row.attempt+1
		}
	case release:
		if err = c.open.Release(r.ctx, seq); legal {
			row.state = ready
		}
	default:
		if err = c.open.Ack(r.ctx, seq); legal && !left {
			delete(c.rows, seq)
		}
	}
	switch {
	case !legal && err == nil:
		return fmt.Errorf("%s of %d is taken, which is not in flight by the model", how, seq)
	case !legal && errors.Is(err, engine.ErrNotInFlight), err == nil:
		return nil
	}
	return fmt.Errorf("%s of %d: %w", how, seq, err)
}

// compare compares what can be seen.
func (r *modelRun) compare() error {
	m := r.m
	for name, c := range m.consumers {
		if c.open == nil {
			continue
		}
		st, err := c.open.State(r.ctx)
		if err != nil {
			return err
		}
		if st.Floor != c.floor(m.head()) || st.InFlight != c.inFlight() || st.Lag != uint64(len(c.rows)) ||
			st.Parked < c.count(sleeping) || st.Parked > len(c.rows)-c.count(flying) {
			return fmt.Errorf("consumer %s: %+v, by the model floor %d, %d in flight, %d parked, %d unsettled",
				name, st, c.floor(m.head()), c.inFlight(), c.count(sleeping), len(c.rows))
		}
	}
	if err := r.compareRecords(); err != nil {
		return err
	}
	names, err := m.open.Consumers(r.ctx)
	if want := slices.Sorted(maps.Keys(m.consumers)); err == nil && !slices.Equal(names, want) {
		return fmt.Errorf("consumers are %q, by the model %q", names, want)
	}
	return err
}

// limit is the seq below which the engine may have trimmed.
func (m *modelStream) limit() engine.Seq {
	limit := m.trimTo
	for _, c := range m.consumers {
		limit = min(limit, c.floor(m.head()))
	}
	return max(1, min(limit, m.head()+1))
}

// compareRecords compares the stream. The engine may trim meanwhile.
func (r *modelRun) compareRecords() error {
	m := r.m
	st, err := r.m.open.State(r.ctx)
	if err != nil {
		return err
	}
	limit := m.limit()
	if st.First > limit || st.Head != m.head() {
		return fmt.Errorf("the stream is %d..%d, by the model at most %d..%d", st.First, st.Head, limit, m.head())
	}
	records, err := m.open.Read(r.ctx, st.First, len(m.texts))
	if err != nil {
		return err
	}
	for i, record := range records {
		if seq := m.head() + 1 - engine.Seq(len(records)-i); record.Seq != seq || string(record.Data) != m.texts[seq-1] {
			return fmt.Errorf("seq %d reads as %d=%s", seq, record.Seq, record.Data)
		}
	}
	if oldest := m.head() + 1 - engine.Seq(len(records)); oldest > limit {
		return fmt.Errorf("the oldest record that is read is %d, by the model at most %d", oldest, limit)
	}
	return nil
}
