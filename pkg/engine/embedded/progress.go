package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"leat.dev/leat/pkg/cursor"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

func errNotInFlight(err error) error { return fmt.Errorf("%w: %w", engine.ErrNotInFlight, err) }

// Progress is saved as marks of the stream:
//
//	name 0 'n'         next:u64
//	name 0 'u' seq:u64 lane:u64 attempt:u32 parked:u8 due:i64 after:i64
//
// due is by the wall clock (ns since 1970), because the monotonic one does not
// outlive the process; after bounds it, so that a clock that was set back does
// not keep a retry longer than it was parked for.
const (
	nextMark      = 'n'
	unsettledMark = 'u'
	unsettledLen  = 8 + 4 + 1 + 8 + 8
)

func markPrefix(name string) []byte { return append([]byte(name), 0) }

func encodeUnsettled(u cursor.Unsettled, toWall int64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, unsettledLen), u.Lane)
	b = binary.BigEndian.AppendUint32(b, uint32(u.Attempt))
	parked, due := byte(0), int64(0)
	if u.Parked {
		parked, due = 1, u.Due+toWall
	}
	b = append(b, parked)
	b = binary.BigEndian.AppendUint64(b, uint64(due))
	return binary.BigEndian.AppendUint64(b, uint64(u.After))
}

func decodeUnsettled(seq uint64, b []byte, now, toWall int64) cursor.Unsettled {
	u := cursor.Unsettled{
		Seq: seq, Lane: binary.BigEndian.Uint64(b), Attempt: int(binary.BigEndian.Uint32(b[8:])),
		Parked: b[12] == 1, After: min(max(int64(binary.BigEndian.Uint64(b[21:])), 0), cursor.Forever),
	}
	left := int64(binary.BigEndian.Uint64(b[13:])) - toWall - now
	u.Due = now + min(max(left, 0), u.After)
	return u
}

// toWall is what must be added to the clock's time to get the wall clock's.
func (c clock) toWall() int64 { return c.wall().UnixNano() - c.now() }

// changes are the marks that bring the saved progress up to date, nil if it is.
func (c *consumer) changes() []eventlog.Mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changesLocked()
}

func (c *consumer) changesLocked() []eventlog.Mark {
	if !c.cur.Changed() {
		return nil
	}
	ch := c.cur.Changes()
	prefix, toWall := markPrefix(c.name), c.stream.engine.clock.toWall()
	key := func(kind byte, seq uint64) []byte {
		k := append(bytes.Clone(prefix), kind)
		return binary.BigEndian.AppendUint64(k, seq)
	}
	marks := make([]eventlog.Mark, 0, 1+len(ch.Put)+len(ch.Gone))
	marks = append(marks, eventlog.Mark{
		Key: append(bytes.Clone(prefix), nextMark), Value: binary.BigEndian.AppendUint64(nil, ch.Next),
	})
	for _, seq := range ch.Gone {
		marks = append(marks, eventlog.Mark{Key: key(unsettledMark, seq)})
	}
	for _, u := range ch.Put {
		marks = append(marks, eventlog.Mark{Key: key(unsettledMark, u.Seq), Value: encodeUnsettled(u, toWall)})
	}
	return marks
}

// save makes the progress of all consumers durable.
func (e *Engine) save(ctx context.Context) error {
	e.saving.Lock()
	defer e.saving.Unlock()
	var sets []eventlog.MarkSet
	for _, s := range e.openStreams() {
		for _, c := range s.allConsumers() {
			if marks := c.changes(); marks != nil {
				sets = append(sets, eventlog.MarkSet{Stream: s.log, Marks: marks})
			}
		}
	}
	if len(sets) == 0 {
		return nil
	}
	// What was collected is told once only, so it is written whatever happens.
	return translate(e.log.SetMarks(context.WithoutCancel(ctx), sets...))
}

// savedMarks lists what is saved of a consumer, as deletions.
func savedMarks(log *eventlog.Stream, name string) (marks []eventlog.Mark, err error) {
	err = log.Marks(markPrefix(name), func(key, _ []byte) error {
		marks = append(marks, eventlog.Mark{Key: bytes.Clone(key)})
		return nil
	})
	return marks, err
}

type savedConsumer struct {
	next      uint64
	unsettled []cursor.Unsettled
}

// loadProgress reads the saved progress of all consumers of a stream. What a
// saved place says of records that are trimmed is stale: only what was settled
// is ever trimmed, so it was settled after the last save.
func loadProgress(log *eventlog.Stream, clock clock) (cursors map[string]*cursor.Cursor, stale []eventlog.Mark, err error) {
	saved := map[string]*savedConsumer{}
	first, head := log.Bounds()
	now, toWall := clock.now(), clock.toWall()
	err = log.Marks(nil, func(key, value []byte) error {
		name, rest, ok := bytes.Cut(key, []byte{0})
		if !ok || len(rest) == 0 {
			return fmt.Errorf("%s: a saved place has the unknown key %q", log.Name(), key)
		}
		s := saved[string(name)]
		if s == nil {
			s = &savedConsumer{}
			saved[string(name)] = s
		}
		switch {
		case rest[0] == nextMark && len(rest) == 1 && len(value) == 8:
			s.next = binary.BigEndian.Uint64(value)
		case rest[0] == unsettledMark && len(rest) == 9 && len(value) == unsettledLen:
			if seq := binary.BigEndian.Uint64(rest[1:]); seq >= first {
				s.unsettled = append(s.unsettled, decodeUnsettled(seq, value, now, toWall))
			} else {
				stale = append(stale, eventlog.Mark{Key: bytes.Clone(key)})
			}
		default:
			return fmt.Errorf("%s: the saved place of %s cannot be read (key %q, %d bytes)", log.Name(), name, key, len(value))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	cursors = make(map[string]*cursor.Cursor, len(saved))
	for name, s := range saved {
		if s.next > head+1 {
			return nil, nil, fmt.Errorf("BUG: invariant 4: %s: consumer %s is at %d, past the head %d", log.Name(), name, s.next, head)
		}
		cur, err := cursor.Restore(max(s.next, first), s.unsettled)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: consumer %s: %w", log.Name(), name, err)
		}
		cursors[name] = cur
	}
	return cursors, stale, nil
}
