package enginetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
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

// may says whether a record may be delivered now.
func (c *modelConsumer) may(m *modelStream, seq engine.Seq) bool {
	r := c.rows[seq]
	if r == nil || r.state != pending && r.state != ready || c.count(flying) >= c.spec.MaxInFlight {
		return false
	}
	for other, o := range c.rows {
		if other >= seq {
			continue
		}
		if !c.spec.Ordered && r.state == pending && o.state == pending {
			return false // new ones come in order
		}
		if c.spec.Ordered && m.texts[other-1][:1] == m.texts[seq-1][:1] {
			return false
		}
	}
	return true
}

// testModel makes random calls, one after the other, and compares each answer
// with the model's.
func testModel(w *world) {
	rnd := w.random()
	m := &modelStream{name: "s", open: w.stream("s"), consumers: map[string]*modelConsumer{}}
	for step := range 1500 {
		w.modelStep(rnd, m)
		if w.Failed() {
			w.Fatalf("at step %d", step)
		}
	}
}

func (w *world) modelStep(rnd *rand.Rand, m *modelStream) {
	w.Helper()
	name := string(rune('p' + rnd.IntN(4)))
	c := m.consumers[name]
	switch n := rnd.IntN(200); {
	case n < 1:
		w.no(w.engine.Remove(w.ctx, m.name), "Remove")
		*m = modelStream{name: m.name, open: w.stream(m.name), consumers: map[string]*modelConsumer{}}
	case n < 4:
		w.reopen()
		m.open = w.stream(m.name)
		for _, c := range m.consumers {
			c.closed()
		}
	case n < 7:
		w.no(m.open.RemoveConsumer(w.ctx, name), "RemoveConsumer")
		delete(m.consumers, name)
	case n < 10:
		to := engine.Seq(rnd.IntN(len(m.texts) + 3))
		w.no(m.open.TrimTo(w.ctx, to), "TrimTo")
		m.trimTo = max(m.trimTo, to)
	case n < 40:
		w.modelAppend(rnd, m)
	case n < 50:
		w.modelCompare(m)
	case c == nil || c.open == nil:
		w.modelOpen(rnd, m, name)
	case n < 55:
		w.no(c.open.Close(), "Close")
		c.closed()
	default:
		w.modelDeliver(rnd, m, c)
	}
}

// closed: what was in flight may come back.
func (c *modelConsumer) closed() {
	c.open = nil
	for _, r := range c.rows {
		if r.state == flying {
			r.state = ready
		}
	}
}

func (w *world) modelAppend(rnd *rand.Rand, m *modelStream) {
	w.Helper()
	var batch []engine.Payload
	for range 1 + rnd.IntN(3) {
		text := fmt.Sprintf("%c%d", 'a'+rnd.IntN(3), len(m.texts))
		m.texts = append(m.texts, text)
		batch = append(batch, engine.Payload{Data: []byte(text), Type: "t", Key: text[:1]})
		for _, c := range m.consumers {
			c.rows[m.head()] = &modelRow{}
		}
	}
	first, err := m.open.Append(w.ctx, batch...)
	if want := m.head() + 1 - engine.Seq(len(batch)); err != nil || first != want {
		w.Errorf("Append: %d, %v, want %d", first, err, want)
	}
}

func (w *world) modelOpen(rnd *rand.Rand, m *modelStream, name string) {
	w.Helper()
	c := m.consumers[name]
	isNew := c == nil
	if isNew {
		c = &modelConsumer{rows: map[engine.Seq]*modelRow{}}
		c.spec = engine.ConsumerSpec{Name: name, FromEarliest: rnd.IntN(2) == 0, MaxInFlight: 1 + rnd.IntN(4), Ordered: rnd.IntN(2) == 0}
		m.consumers[name] = c
	}
	open, err := m.open.Consumer(w.ctx, c.spec)
	w.no(err, "Consumer")
	c.open = open
	if !isNew || !c.spec.FromEarliest {
		return
	}
	// A trim that is under way may be seen or not.
	start := w.state(open).Floor
	for seq := start; seq <= m.head(); seq++ {
		c.rows[seq] = &modelRow{}
	}
}

// modelDeliver takes one delivery, if the model has one, and settles one.
func (w *world) modelDeliver(rnd *rand.Rand, m *modelStream, c *modelConsumer) {
	w.Helper()
	available := false
	for seq := range c.rows {
		available = available || c.may(m, seq)
	}
	switch {
	case available:
		d := w.next(c.open)
		if r := c.rows[d.Seq]; !c.may(m, d.Seq) || r.attempt != d.Attempt || string(d.Data) != m.texts[d.Seq-1] {
			w.Errorf("%s: delivery %s, by the model %+v", c.spec.Name, show(d), r)
			return
		}
		c.rows[d.Seq].state = flying
	case rnd.IntN(20) == 0:
		ctx, cancel := context.WithTimeout(w.ctx, 2*time.Millisecond)
		defer cancel()
		if d, err := c.open.Next(ctx); err == nil {
			w.Errorf("%s: delivery %s, by the model none", c.spec.Name, show(d))
		}
	}
	seq := c.floor(m.head()) + engine.Seq(rnd.IntN(4))
	w.modelSettle(rnd, c, seq)
}

func (w *world) modelSettle(rnd *rand.Rand, c *modelConsumer, seq engine.Seq) {
	w.Helper()
	r := c.rows[seq]
	legal := r != nil && r.state == flying
	var err error
	switch rnd.IntN(8) {
	case 0:
		if err = c.open.Retry(w.ctx, seq, time.Hour); legal {
			r.state, r.attempt = sleeping, r.attempt+1
		}
	case 1, 2:
		if err = c.open.Retry(w.ctx, seq, 0); legal {
			r.state, r.attempt = ready, r.attempt+1
		}
	case 3:
		if err = c.open.Release(w.ctx, seq); legal {
			r.state = ready
		}
	default:
		if err = c.open.Ack(w.ctx, seq); legal {
			delete(c.rows, seq)
		}
	}
	if legal {
		w.no(err, "settle")
	} else {
		w.wantErr(err, engine.ErrNotInFlight, fmt.Sprintf("%s: settle %d", c.spec.Name, seq))
	}
}

// modelCompare compares what can be seen.
func (w *world) modelCompare(m *modelStream) {
	w.Helper()
	lowest := m.head() + 1
	for name, c := range m.consumers {
		lowest = min(lowest, c.floor(m.head()))
		if c.open == nil {
			continue
		}
		st := w.state(c.open)
		if st.Floor != c.floor(m.head()) || st.InFlight != c.count(flying) || st.Lag != uint64(len(c.rows)) ||
			st.Parked < c.count(sleeping) || st.Parked > len(c.rows)-c.count(flying) {
			w.Errorf("consumer %s: %+v, by the model floor %d, %d in flight, %d parked, %d unsettled",
				name, st, c.floor(m.head()), c.count(flying), c.count(sleeping), len(c.rows))
		}
	}
	first, head := w.bounds(m.open)
	if limit := max(1, min(m.trimTo, lowest)); first > limit || head != m.head() {
		w.Errorf("stream %d..%d, by the model at most %d..%d", first, head, limit, m.head())
	}
	records, err := m.open.Read(w.ctx, first, len(m.texts))
	w.no(err, "Read")
	for i, r := range records { // the engine may trim meanwhile
		if seq := head + 1 - engine.Seq(len(records)-i); r.Seq != seq || string(r.Data) != m.texts[seq-1] {
			w.Errorf("seq %d reads as %d=%s", seq, r.Seq, r.Data)
		}
	}
	if oldest := head + 1 - engine.Seq(len(records)); oldest > max(1, min(m.trimTo, lowest)) {
		w.Errorf("the oldest record that is read is %d, floor %d, trimmed to %d", oldest, lowest, m.trimTo)
	}
	names, err := m.open.Consumers(w.ctx)
	w.no(err, "Consumers")
	if wantNames := slices.Sorted(maps.Keys(m.consumers)); !slices.Equal(names, wantNames) {
		w.Errorf("consumers are %q, by the model %q", names, wantNames)
	}
}
