package embedded

import (
	"context"
	"errors"
	"sort"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

const (
	// trimEager is how many settled records are trimmed at once; fewer wait for
	// the slow tick.
	trimEager = 4096
	// roundBytes of new records make a round before the next tick, in which
	// trimHeavy settled records are trimmed: what is trimmed before the log has
	// moved it out of memory is written to the disk once.
	roundBytes = 4 << 20
	trimHeavy  = 16
	// roundShare of the time is for such rounds at most: with thousands of routes
	// they take long.
	roundShare = 10
	// slowTicks of the keeper make one slow tick.
	slowTicks = 10
	// quietTicks without a new record are a time to give back the space of what was
	// trimmed: the store does so by itself only as more is written.
	quietTicks = 100
	// passTicks of the keeper pass until idle consumers' places are saved.
	passTicks = 100
	// sayAgain is how often the keeper says what fails with every tick.
	sayAgain = time.Minute
)

// keep saves progress, trims and watches the disk until ctx ends.
func (e *Engine) keep(ctx context.Context) {
	ticker := time.NewTicker(e.opts.CheckpointEvery)
	defer ticker.Stop()
	said := map[string]time.Time{} // by stream
	for n, quiet := 0, 0; ; {
		atLeast := uint64(trimEager)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if quiet++; e.added.Load() > 0 {
				quiet = 0
			}
			if n++; n%slowTicks == 0 {
				atLeast = 1
			}
			if quiet > 0 && quiet%quietTicks == 0 {
				e.reclaim()
			}
			if n%slowTicks == 0 || e.disk.tight {
				e.checkDisk()
			}
			if n%passTicks == 0 {
				e.passIdle()
			}
		case <-e.heavy:
			atLeast = trimHeavy
		}
		begun := time.Now()
		e.added.Store(0)
		e.round(ctx, atLeast, said)
		if atLeast == trimHeavy {
			rest(ctx, min(roundShare*time.Since(begun), e.opts.CheckpointEvery))
		}
	}
}

func (e *Engine) passIdle() {
	for _, s := range e.openStreams() {
		s.passIdle()
	}
}

// rest waits, or less if ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// appended counts new records, and asks for a round when they are many.
func (e *Engine) appended(bytes int) {
	if e.added.Add(int64(bytes)) < roundBytes {
		return
	}
	select {
	case e.heavy <- struct{}{}:
	default:
	}
}

// round saves progress and trims where that many records are settled. said is
// when it was last logged that a stream could not be trimmed.
func (e *Engine) round(ctx context.Context, atLeast uint64, said map[string]time.Time) {
	if err := e.save(ctx); err != nil && ctx.Err() == nil {
		e.opts.Logger.Error("the progress of routes could not be saved", "error", err)
	}
	for _, s := range e.openStreams() {
		name := s.log.Name()
		err := s.trim(ctx, atLeast)
		if err != nil && ctx.Err() == nil && !s.isClosed() && time.Since(said[name]) > sayAgain {
			said[name] = time.Now()
			e.opts.Logger.Error("settled events could not be trimmed", "stream", name, "error", err)
		}
	}
}

// trim drops what every consumer has settled and retention does not keep, if
// that is at least so many records.
func (s *stream) trim(ctx context.Context, atLeast uint64) error {
	s.trimming.Lock()
	defer s.trimming.Unlock()
	first, _ := s.log.Bounds()
	to := s.lowestFloor()
	if to < first+atLeast {
		return nil
	}
	to, err := s.retained(first, to)
	if err != nil || to < first+atLeast {
		return err
	}
	s.engine.disk.freed.Store(true)
	return s.log.Trim(ctx, to)
}

// retained lowers to to the first record that retention keeps.
func (s *stream) retained(first, to uint64) (uint64, error) {
	retention := time.Duration(s.retention.Load())
	switch retention {
	case 0:
		return to, nil
	case engine.KeepForever:
		s.mu.Lock()
		defer s.mu.Unlock()
		return min(to, s.dropTo), nil
	}
	oldest := s.engine.opts.Now().Add(-retention)
	var failed error
	n := sort.Search(int(to-first), func(i int) bool {
		at, err := s.timeOf(first + uint64(i))
		if err != nil {
			failed = err
		}
		return !at.Before(oldest)
	})
	return first + uint64(n), failed
}

// lowestFloor is the seq below which all consumers have settled everything
// (invariant 7).
func (s *stream) lowestFloor() uint64 {
	s.mu.Lock()
	floor := s.head + 1
	s.mu.Unlock()
	for _, c := range s.allConsumers() {
		floor = min(floor, c.floor())
	}
	return floor
}

// floor is the consumer's, which follows the head while it idles.
func (c *consumer) floor() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floorLocked()
}

func (c *consumer) floorLocked() uint64 {
	if c.cur.Unsettled() > 0 {
		return c.cur.Floor()
	}
	return c.nextLocked()
}

// nextLocked is the seq that was not yet looked at, by the stream while the
// consumer idles. c.mu is held.
func (c *consumer) nextLocked() uint64 {
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.idle {
		return max(c.cur.Next(), s.head+1)
	}
	return max(c.cur.Next(), c.resumeAt)
}

// pass lets the cursor of an idle consumer follow the head, so that a restart
// does not look at the records again that it did not want.
func (c *consumer) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.idle {
		c.cur.SkipTo(s.head + 1)
	}
}

// State implements engine.Consumer.
func (h *handle) State(context.Context) (engine.ConsumerState, error) {
	c := h.c
	c.mu.Lock()
	if c.handle != h {
		c.mu.Unlock()
		return engine.ConsumerState{}, engine.ErrClosed
	}
	floor := c.floorLocked()
	st := engine.ConsumerState{Floor: engine.Seq(floor), InFlight: c.cur.InFlight(), Parked: c.cur.Parked()}
	next, unsettled := c.nextLocked(), c.cur.Unsettled()
	c.mu.Unlock()

	_, head := c.stream.log.Bounds()
	st.Lag = uint64(unsettled)
	if head+1 > next {
		st.Lag += head + 1 - next
	}
	if st.Lag == 0 {
		return st, nil
	}
	var err error
	if st.Oldest, err = c.stream.timeOf(floor); errors.Is(err, eventlog.ErrDamaged) {
		return st, nil // the rest is known, and Next says it
	}
	return st, err
}
