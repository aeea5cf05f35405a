package embedded

import (
	"context"
	"fmt"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

// Seek implements engine.Stream.
func (s *stream) Seek(ctx context.Context, name string, to engine.Seq) (engine.Sought, error) {
	if ctx.Err() != nil {
		return engine.Sought{}, context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx) // all of what follows, or nothing
	// Nobody saves the new place before us, and nobody trims what it needs.
	s.engine.saving.Lock()
	defer s.engine.saving.Unlock()
	s.trimming.Lock()
	defer s.trimming.Unlock()
	s.mu.Lock()
	c, closed := s.consumers[name], s.closed
	s.mu.Unlock()
	if closed {
		return engine.Sought{}, engine.ErrClosed
	}
	if c == nil {
		return engine.Sought{}, fmt.Errorf("%w: %s in %s", engine.ErrNoConsumer, name, s.log.Name())
	}
	sought, marks := c.seek(uint64(to))
	if err := s.engine.log.SetMarks(ctx, eventlog.MarkSet{Stream: s.log, Marks: marks}); err != nil {
		return engine.Sought{}, translate(err)
	}
	return sought, nil
}

// seek moves the place, and returns the marks that say so. stream.trimming is
// held.
func (c *consumer) seek(to uint64) (engine.Sought, []eventlog.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveIdle()
	s := c.stream
	first, _ := s.log.Bounds()
	s.mu.Lock()
	to = max(first, min(to, s.head+1))
	c.resumeAt = to
	s.mu.Unlock()
	c.ahead = nil
	skipped, again := c.cur.Seek(to)
	c.signal()
	return engine.Sought{Place: engine.Seq(to), Skipped: skipped, Again: again}, c.changesLocked()
}
