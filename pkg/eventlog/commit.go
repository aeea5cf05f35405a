package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// maxGroupBytes bounds one group commit; a single larger append is a group of
	// its own.
	maxGroupBytes = 4 << 20
	// earlyGroupBytes of events are worth writing while the last group syncs:
	// copying them takes about as long as a sync.
	earlyGroupBytes = 256 << 10
)

// committer is the only writer of the store. Two goroutines make a pipeline:
//
//	callers -> queue -> [write: batch, apply] -> [settle: sync, publish, answer]
//
// write takes everything that waits, gives appends their seqs and applies it as
// one batch without waiting for the sync. settle waits for the sync, moves the
// heads and wakes the callers. While one group syncs, the next one gathers: it is
// written when the sync ends, or before if it is large, and so the slower the
// disk the larger the groups grow. Seqs are given in one place and groups settle
// in order, so heads only move forward (invariant 3).
//
// Tried before: a commit by each caller (Pebble groups these by itself). It
// costs one batch and one pass through Pebble's commit queue per event and
// leaves the order of heads to be sorted out afterwards.
type committer struct {
	db   *pebble.DB
	opts Options
	tail tail // owned by settle
	// ops are for reuse; not shared between logs, whose channels may belong to
	// different testing/synctest bubbles.
	ops sync.Pool

	mu     sync.Mutex
	queue  []*op
	queued int // bytes of the queue's entries
	groups int // that are written and not yet synced
	closed bool
	failed error
	wake   chan struct{} // holds a token while due is true

	settling chan group
	done     sync.WaitGroup
}

// op is one caller's write: an append, or anything else as a function.
type op struct {
	stream  *Stream
	entries []Entry
	first   uint64

	write func(*pebble.Batch) error

	err  error
	done chan struct{} // gets one token when err and first are final
}

type group struct {
	batch *pebble.Batch
	ops   []*op
	bytes int
	err   error
}

func newCommitter(db *pebble.DB, opts Options) *committer {
	c := &committer{
		db: db, opts: opts, tail: tail{budget: opts.TailBytes},
		wake: make(chan struct{}, 1), settling: make(chan group, 1),
		ops: sync.Pool{New: func() any { return &op{done: make(chan struct{}, 1)} }},
	}
	c.done.Add(2)
	go c.runWrite()
	go c.runSettle()
	return c
}

// do makes a write that is not an append. It is not given up halfway: what the
// caller does after a write must not be left out because ctx ended meanwhile.
func (c *committer) do(ctx context.Context, write func(*pebble.Batch) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, err := c.submit(context.WithoutCancel(ctx), nil, nil, write)
	return err
}

// append gives the entries their seqs and stores them.
func (c *committer) append(ctx context.Context, s *Stream, entries []Entry) (uint64, error) {
	return c.submit(ctx, s, entries, nil)
}

func (c *committer) submit(ctx context.Context, s *Stream, entries []Entry, write func(*pebble.Batch) error) (uint64, error) {
	o := c.ops.Get().(*op)
	o.stream, o.entries, o.write, o.first, o.err = s, entries, write, 0, nil
	if err := c.enqueue(o); err != nil {
		return 0, err
	}
	if giveUp := ctx.Done(); giveUp == nil {
		<-o.done // cheaper than a select, on the way of every event
	} else {
		select {
		case <-o.done:
		case <-giveUp:
			// The committer still holds o, so it does not go back to the pool.
			return 0, context.Cause(ctx)
		}
	}
	first, err := o.first, o.err
	o.stream, o.entries, o.write = nil, nil, nil
	c.ops.Put(o)
	return first, err
}

func (c *committer) enqueue(o *op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return c.failed
	}
	if c.closed {
		return ErrClosed
	}
	c.queue = append(c.queue, o)
	for i := range o.entries {
		c.queued += TagSize + len(o.entries[i].Data)
	}
	c.signal()
	return nil
}

// due says whether the queue is to be written now. c.mu is held.
func (c *committer) due() bool {
	return c.closed || len(c.queue) > 0 && (c.groups == 0 || c.queued >= earlyGroupBytes)
}

// signal wakes write if it has something to do. c.mu is held.
func (c *committer) signal() {
	if !c.due() {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close stops taking writes, finishes those that were taken and waits for both
// goroutines.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.signal()
	c.mu.Unlock()
	c.done.Wait()
}

func (c *committer) runWrite() {
	defer c.done.Done()
	defer close(c.settling)
	var all []*op
	for closed := false; !closed; {
		<-c.wake
		all, closed = c.take(all)
		for rest := all; len(rest) > 0; {
			var g group
			g, rest = c.writeGroup(rest)
			c.countGroup(1)
			c.settling <- g
		}
		clear(all)
	}
}

// take exchanges the queue, if it is due, for an empty one that lies in spare,
// and says whether it was the last.
func (c *committer) take(spare []*op) (queue []*op, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.due() {
		return spare[:0], false
	}
	queue, c.queue, c.queued = c.queue, spare[:0], 0
	return queue, c.closed
}

// countGroup counts a group that is written, or with -1 one whose sync has ended.
func (c *committer) countGroup(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups += n
	c.signal()
}

// writeGroup applies as many ops as fit into one group and returns the rest.
func (c *committer) writeGroup(ops []*op) (g group, rest []*op) {
	g.batch = c.db.NewBatch()
	n := 0
	for n < len(ops) && (n == 0 || g.bytes < maxGroupBytes) {
		g.bytes += c.encode(g.batch, ops[n])
		n++
	}
	g.ops = append([]*op(nil), ops[:n]...)
	if g.err = c.failure(); g.err == nil {
		g.err = c.apply(g.batch)
	}
	return g, ops[n:]
}

// apply writes without waiting for the sync. Pebble panics where it cannot write
// its log any more; that becomes an error, so that Fatal can say it.
func (c *committer) apply(b *pebble.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write: %v", p)
		}
	}()
	if c.opts.fault == syncDropped {
		return c.db.Apply(b, pebble.NoSync)
	}
	return c.db.ApplyNoSyncWait(b, pebble.Sync)
}

// encode adds one op to the batch and returns its payload bytes. An op that
// cannot be encoded leaves nothing in the batch that matters.
func (c *committer) encode(b *pebble.Batch, o *op) (bytes int) {
	if o.write != nil {
		o.err = o.write(b)
		return 0
	}
	if o.stream.removed.Load() {
		o.err = ErrClosed
		return 0
	}
	o.first = o.stream.next
	for i := range o.entries {
		e := &o.entries[i]
		d := b.SetDeferred(recordKeyLen, TagSize+len(e.Data))
		putRecordKey(d.Key, o.stream.id, o.stream.next)
		copy(d.Value, e.Tag[:])
		copy(d.Value[TagSize:], e.Data)
		if err := d.Finish(); err != nil {
			panic(fmt.Sprintf("BUG: invariant 1: a record was not put into its batch: %v", err))
		}
		o.stream.next++
		bytes += TagSize + len(e.Data)
	}
	return bytes
}

func (c *committer) runSettle() {
	defer c.done.Done()
	for g := range c.settling {
		if c.opts.fault == headBeforeSync {
			c.publish(g)
			c.sync(&g)
		} else {
			c.sync(&g)
			c.publish(g)
		}
		if g.err != nil {
			c.opts.Fatal(g.err.Error()) // if Fatal does not know yet
		}
	}
}

func (c *committer) sync(g *group) {
	defer c.countGroup(-1)
	start := time.Now()
	if g.err == nil && c.opts.fault != syncDropped {
		g.err = g.batch.SyncWait()
	}
	if g.err == nil {
		g.err = c.failure() // a hole before this group: it must not be acknowledged
	}
	if g.err == nil {
		g.err = g.batch.Close()
	}
	if g.err != nil {
		g.err = c.fail(g.err)
		return
	}
	c.opts.OnSync(time.Since(start).Seconds(), g.bytes)
}

// publish moves the heads and answers the callers.
func (c *committer) publish(g group) {
	for _, o := range g.ops {
		if g.err != nil {
			o.err = g.err
		} else if o.err == nil && o.stream != nil {
			o.stream.publish(&c.tail, o.first, o.entries)
		}
		o.done <- struct{}{}
	}
}

// fail ends the log: what happened first stays the answer to every later write.
func (c *committer) fail(cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = fmt.Errorf("%w: %w", ErrFailed, cause)
		c.opts.Logger.Error("the event log failed; no more events are taken", "error", cause)
	}
	return c.failed
}

func (c *committer) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// setTrim writes that all records below seq are gone. It needs no sync of its
// own: a trim that a power cut takes back is made again.
func setTrim(b *pebble.Batch, id streamID, from, seq uint64) error {
	return errors.Join(
		b.Set(idKey(keyTrim, id), binary.BigEndian.AppendUint64(nil, seq), nil),
		b.DeleteRange(recordKey(id, from), recordKey(id, seq), nil))
}
