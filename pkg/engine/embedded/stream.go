package embedded

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"leat.dev/leat/pkg/cursor"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

// stream implements engine.Stream. Locks are taken in the order consumer.mu,
// stream.mu.
type stream struct {
	engine    *Engine
	log       *eventlog.Stream
	retention atomic.Int64

	// trimming is held from a look at the floors until what is below them is
	// trimmed, and while a new consumer gets its floor or one gets another
	// (invariant 7). It is taken before the other locks of the stream.
	trimming sync.Mutex

	mu sync.Mutex
	// head is the newest record that consumers were told of; the log's own head
	// may be ahead for a moment.
	head      uint64
	consumers map[string]*consumer
	idle      idleIndex
	// closed says that the stream was removed or its engine closed. It is set
	// with engine.saving held.
	closed bool
	// dropTo is what an operator wants trimmed.
	dropTo uint64
}

var _ engine.Stream = (*stream)(nil)

func openStream(ctx context.Context, e *Engine, log *eventlog.Stream) (*stream, error) {
	_, head := log.Bounds()
	s := &stream{engine: e, log: log, head: head, consumers: map[string]*consumer{}, idle: newIdleIndex()}
	saved, stale, err := loadProgress(log, e.clock)
	if err != nil {
		return nil, err
	}
	if len(stale) > 0 {
		if err := e.log.SetMarks(ctx, eventlog.MarkSet{Stream: log, Marks: stale}); err != nil {
			return nil, err
		}
	}
	for name, cur := range saved {
		s.consumers[name] = newConsumer(s, name, cur)
	}
	log.OnDurable(s.durable)
	return s, nil
}

// durable tells the idle consumers of new records.
func (s *stream) durable(records []eventlog.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = records[len(records)-1].Seq
	if len(s.idle.byType) == 0 && len(s.idle.others) == 0 {
		return
	}
	for i := range records {
		r := &records[i]
		s.idle.wake(&r.Tag, func(c *consumer) { s.unidle(c, r.Seq) })
	}
}

// unidle lets a consumer go on at seq. s.mu is held.
func (s *stream) unidle(c *consumer, seq uint64) {
	s.idle.remove(c)
	c.idle = false
	c.resumeAt = seq
	c.signal()
}

// Append implements engine.Stream.
func (s *stream) Append(ctx context.Context, payloads ...engine.Payload) (engine.Seq, error) {
	now := s.engine.opts.Now()
	entries := make([]eventlog.Entry, len(payloads))
	bytes, settles := 0, true
	for i := range payloads {
		entries[i] = eventlog.Entry{Tag: makeTag(&payloads[i], now), Data: payloads[i].Data}
		bytes += len(payloads[i].Data)
		settles = settles && payloads[i].Settles
	}
	if !s.engine.disk.take(bytes, settles) {
		return 0, engine.ErrFull
	}
	first, err := s.log.Append(ctx, entries)
	s.engine.appended(bytes)
	return engine.Seq(first), translate(err)
}

// Consumer implements engine.Stream.
func (s *stream) Consumer(ctx context.Context, spec engine.ConsumerSpec) (engine.Consumer, error) {
	if err := checkSpec(spec); err != nil {
		return nil, err
	}
	s.engine.saving.Lock()
	defer s.engine.saving.Unlock()
	s.mu.Lock()
	c, closed := s.consumers[spec.Name], s.closed
	s.mu.Unlock()
	if closed {
		return nil, engine.ErrClosed
	}
	if c == nil {
		var err error
		if c, err = s.newConsumer(ctx, spec); err != nil {
			return nil, translate(err)
		}
	}
	return c.open(spec)
}

// newConsumer gives a consumer its place, which is durable before anybody
// relies on it. engine.saving is held.
func (s *stream) newConsumer(ctx context.Context, spec engine.ConsumerSpec) (*consumer, error) {
	s.trimming.Lock()
	defer s.trimming.Unlock()
	c := newConsumer(s, spec.Name, cursor.New(s.start(spec)))
	if err := s.engine.log.SetMarks(ctx, eventlog.MarkSet{Stream: s.log, Marks: c.changes()}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consumers[spec.Name] = c
	return c, nil
}

func checkSpec(spec engine.ConsumerSpec) error {
	if spec.Name == "" || strings.ContainsRune(spec.Name, 0) {
		return fmt.Errorf("consumer name %q: must not be empty nor hold a zero byte", spec.Name)
	}
	if spec.MaxInFlight < 1 {
		return fmt.Errorf("consumer %s: MaxInFlight is %d, must be at least 1", spec.Name, spec.MaxInFlight)
	}
	return nil
}

// start is where a new consumer begins.
func (s *stream) start(spec engine.ConsumerSpec) uint64 {
	if spec.FromEarliest {
		first, _ := s.log.Bounds()
		return first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head + 1
}

// Consumers implements engine.Stream.
func (s *stream) Consumers(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, engine.ErrClosed
	}
	return slices.Sorted(maps.Keys(s.consumers)), nil
}

// RemoveConsumer implements engine.Stream.
func (s *stream) RemoveConsumer(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx) // all of what follows, or nothing
	s.engine.saving.Lock()
	defer s.engine.saving.Unlock()
	s.mu.Lock()
	c := s.consumers[name]
	closed := s.closed
	delete(s.consumers, name)
	s.mu.Unlock()
	if closed {
		return engine.ErrClosed
	}
	if c == nil {
		return nil
	}
	c.close()
	marks, err := savedMarks(s.log, name)
	if err != nil {
		return err
	}
	return translate(s.engine.log.SetMarks(ctx, eventlog.MarkSet{Stream: s.log, Marks: marks}))
}

// Read implements engine.Stream.
func (s *stream) Read(_ context.Context, from engine.Seq, limit int) ([]engine.Record, error) {
	const maxBytes = 16 << 20
	if s.isClosed() {
		return nil, engine.ErrClosed
	}
	records, err := s.log.Read(nil, uint64(from), limit, maxBytes)
	if err != nil {
		return nil, translate(err)
	}
	out := make([]engine.Record, len(records))
	for i := range records {
		out[i] = toRecord(&records[i])
	}
	return out, nil
}

func toRecord(r *eventlog.Record) engine.Record {
	return engine.Record{Seq: engine.Seq(r.Seq), Time: tagTime(&r.Tag), Data: r.Data}
}

// TrimTo implements engine.Stream.
func (s *stream) TrimTo(ctx context.Context, seq engine.Seq) error {
	s.mu.Lock()
	s.dropTo = max(s.dropTo, uint64(seq))
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return engine.ErrClosed
	}
	return translate(s.trim(ctx, 1))
}

// State implements engine.Stream.
func (s *stream) State(context.Context) (engine.StreamState, error) {
	if s.isClosed() {
		return engine.StreamState{}, engine.ErrClosed
	}
	first, head := s.log.Bounds()
	oldest, err := s.timeOf(first)
	return engine.StreamState{First: engine.Seq(first), Head: engine.Seq(head), Oldest: oldest}, err
}

// timeOf is when the record was appended, zero if there is none.
func (s *stream) timeOf(seq uint64) (time.Time, error) {
	records, err := s.log.Read(nil, seq, 1, 1)
	if err != nil || len(records) == 0 {
		return time.Time{}, translate(err)
	}
	return tagTime(&records[0].Tag), nil
}

func (s *stream) allConsumers() []*consumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.consumers))
}

func (s *stream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// close ends all that callers do with the stream. engine.saving is held.
func (s *stream) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, c := range s.allConsumers() {
		c.close()
	}
}

// passIdle lets the idle consumers' saved place follow the head.
func (s *stream) passIdle() {
	for _, c := range s.allConsumers() {
		c.pass()
	}
}
