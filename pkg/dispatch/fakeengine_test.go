package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"leat.dev/leat/pkg/engine"
)

// fakeEngine is an engine in memory. What a test wants to fail, it makes fail
// with failAppend.
type fakeEngine struct {
	mu      sync.Mutex
	streams map[string]*fakeStream
	// failAppend is asked before each Append, by stream.
	failAppend func(stream string) error
	// failConsumer is asked before a consumer is opened or updated, by name.
	failConsumer func(name string) error
}

func newFakeEngine() *fakeEngine { return &fakeEngine{streams: map[string]*fakeStream{}} }

func (e *fakeEngine) Stream(_ context.Context, spec engine.StreamSpec) (engine.Stream, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.streams[spec.Name]
	if !ok && spec.Retention == engine.KeepAsIs {
		return nil, engine.ErrNoStream
	}
	if !ok {
		s = &fakeStream{engine: e, name: spec.Name, first: 1, consumers: map[string]*fakeConsumer{}, changed: make(chan struct{})}
		e.streams[spec.Name] = s
	}
	return s, nil
}

func (e *fakeEngine) Streams(context.Context) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.streams)), nil
}

func (e *fakeEngine) Remove(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, name)
	return nil
}

func (e *fakeEngine) Close() error { return nil }

type fakeStream struct {
	engine *fakeEngine
	name   string

	mu        sync.Mutex
	first     engine.Seq
	records   []engine.Record
	keys      []string
	consumers map[string]*fakeConsumer
	changed   chan struct{} // closed when anything has changed
}

func (s *fakeStream) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *fakeStream) Append(_ context.Context, payloads ...engine.Payload) (engine.Seq, error) {
	s.engine.mu.Lock()
	fail := s.engine.failAppend
	s.engine.mu.Unlock()
	if fail != nil {
		if err := fail(s.name); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first := engine.Seq(len(s.records) + 1)
	for _, p := range payloads {
		s.records = append(s.records, engine.Record{Seq: engine.Seq(len(s.records) + 1), Time: time.Now(), Data: p.Data})
		s.keys = append(s.keys, p.Key)
	}
	s.notify()
	return first, nil
}

func (s *fakeStream) Consumer(_ context.Context, spec engine.ConsumerSpec) (engine.Consumer, error) {
	if fail := s.engine.failConsumer; fail != nil {
		if err := fail(spec.Name); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.consumers[spec.Name]
	if !ok {
		c = &fakeConsumer{stream: s, settled: map[engine.Seq]bool{}, left: map[engine.Seq]bool{}, attempts: map[engine.Seq]int{}, parked: map[engine.Seq]time.Time{}}
		if !spec.FromEarliest {
			c.start = engine.Seq(len(s.records))
		}
		s.consumers[spec.Name] = c
	}
	if c.open {
		return nil, fmt.Errorf("the consumer %s is open", spec.Name)
	}
	c.open, c.spec, c.inFlight = true, spec, map[engine.Seq]bool{}
	clear(c.left)
	return c, nil
}

func (s *fakeStream) Consumers(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.consumers)), nil
}

func (s *fakeStream) RemoveConsumer(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.consumers[name]; ok {
		c.open = false
		delete(s.consumers, name)
		s.notify()
	}
	return nil
}

func (s *fakeStream) Read(_ context.Context, from engine.Seq, limit int) ([]engine.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from = max(from, s.first)
	if int(from) > len(s.records) {
		return nil, nil
	}
	rest := s.records[from-1:]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (s *fakeStream) TrimTo(_ context.Context, seq engine.Seq) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = max(s.first, seq)
	return nil
}

func (s *fakeStream) Seek(_ context.Context, name string, to engine.Seq) (engine.Sought, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.consumers[name]
	if !ok {
		return engine.Sought{}, engine.ErrNoConsumer
	}
	to = max(s.first, min(to, engine.Seq(len(s.records)+1)))
	got := engine.Sought{Place: to}
	for seq := engine.Seq(1); int(seq) <= len(s.records); seq++ {
		switch settled := seq <= c.start || c.settled[seq]; {
		case settled && seq >= to:
			got.Again++
		case !settled && seq < to:
			got.Skipped++
		}
	}
	c.start = to - 1
	clear(c.settled)
	clear(c.attempts)
	clear(c.parked)
	maps.Copy(c.left, c.inFlight)
	s.notify()
	return got, nil
}

func (s *fakeStream) State(context.Context) (engine.StreamState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return engine.StreamState{First: s.first, Head: engine.Seq(len(s.records))}, nil
}

type fakeConsumer struct {
	stream   *fakeStream
	open     bool
	spec     engine.ConsumerSpec
	start    engine.Seq // settled up to here from the beginning
	settled  map[engine.Seq]bool
	inFlight map[engine.Seq]bool
	left     map[engine.Seq]bool // of inFlight, those of before a seek
	attempts map[engine.Seq]int
	parked   map[engine.Seq]time.Time
}

// pick returns the next delivery, or how long until there may be one.
func (c *fakeConsumer) pick() (seq engine.Seq, wait time.Duration) {
	wait = time.Hour
	if len(c.inFlight) >= c.spec.MaxInFlight {
		return 0, wait
	}
	busy := map[string]bool{}
	again := 0
	for seq := range c.inFlight {
		busy[c.stream.keys[seq-1]] = true
		again += min(c.attempts[seq], 1)
	}
	full := again >= c.spec.MaxInFlight-c.spec.MaxInFlight/4
	for i := range c.stream.records {
		seq := engine.Seq(i + 1)
		if seq <= c.start || c.settled[seq] || c.inFlight[seq] {
			continue
		}
		key := c.stream.keys[i]
		left := time.Until(c.parked[seq])
		if left <= 0 && !(c.spec.Ordered && busy[key]) && !(full && c.attempts[seq] > 0) {
			return seq, 0
		}
		busy[key] = true
		if left > 0 {
			wait = min(wait, left)
		}
	}
	return 0, wait
}

func (c *fakeConsumer) Next(ctx context.Context) (engine.Delivery, error) {
	for {
		c.stream.mu.Lock()
		if !c.open {
			c.stream.mu.Unlock()
			return engine.Delivery{}, engine.ErrClosed
		}
		seq, wait := c.pick()
		if seq > 0 {
			c.inFlight[seq] = true
			d := engine.Delivery{Record: c.stream.records[seq-1], Attempt: c.attempts[seq]}
			c.stream.mu.Unlock()
			return d, nil
		}
		changed := c.stream.changed
		c.stream.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return engine.Delivery{}, ctx.Err()
		}
		timer.Stop()
	}
}

// settle checks that seq is in flight and lets do say what becomes of it.
func (c *fakeConsumer) settle(seq engine.Seq, do func()) error {
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	if !c.open {
		return engine.ErrClosed
	}
	if !c.inFlight[seq] {
		return engine.ErrNotInFlight
	}
	delete(c.inFlight, seq)
	if c.left[seq] {
		delete(c.left, seq)
	} else {
		do()
	}
	c.stream.notify()
	return nil
}

func (c *fakeConsumer) Ack(_ context.Context, seq engine.Seq) error {
	return c.settle(seq, func() { c.settled[seq] = true })
}

func (c *fakeConsumer) Retry(_ context.Context, seq engine.Seq, after time.Duration) error {
	return c.settle(seq, func() { c.attempts[seq]++; c.parked[seq] = time.Now().Add(after) })
}

func (c *fakeConsumer) Release(_ context.Context, seq engine.Seq) error {
	return c.settle(seq, func() {})
}

func (c *fakeConsumer) Update(_ context.Context, spec engine.ConsumerSpec) error {
	if fail := c.stream.engine.failConsumer; fail != nil {
		if err := fail(spec.Name); err != nil {
			return err
		}
	}
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	c.spec = spec
	c.stream.notify()
	return nil
}

func (c *fakeConsumer) State(context.Context) (engine.ConsumerState, error) {
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	s := engine.ConsumerState{InFlight: len(c.inFlight)}
	for i := range c.stream.records {
		seq := engine.Seq(i + 1)
		if seq <= c.start || c.settled[seq] {
			continue
		}
		s.Lag++
		if !c.inFlight[seq] && c.parked[seq].After(time.Now()) {
			s.Parked++
		}
	}
	return s, nil
}

func (c *fakeConsumer) Close() error {
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	c.open = false
	c.stream.notify()
	return nil
}
