// Package cursor is the pure state machine of one consumer's progress: no
// clock, no I/O, no lock.
//
//	                 Skip                     Settle
//	next ---------------------> settled <--------------- in flight
//	  |                                                   ^  |   ^
//	  | Begin                                             |  |   | TakeDue
//	  +----------------> in flight ------------------------  |   |
//	  |                                        Park, Release +-> parked
//	  +----------------> waiting (its lane is busy) -- lane free ---^
//
// Everything below Next that is not unsettled is settled; the lowest unsettled
// seq, or Next, is the floor (invariant 4). Seek makes any seq the Next. Time is
// an int64 of nanoseconds on a clock of the caller's that never runs backwards.
package cursor

import (
	"container/heap"
	"errors"
	"fmt"
)

// ErrNotInFlight says that a seq was settled or parked which is not in flight.
var ErrNotInFlight = errors.New("not in flight")

// NoLane is the lane of records that wait for nobody.
const NoLane = 0

// Forever is the longest time in nanoseconds that a delivery is parked for, 73
// years: with it no sum of times overflows.
const Forever = 1 << 61

type state uint8

const (
	inFlight state = iota
	parked         // comes back when due
	waiting        // another record of its lane goes first, or its own delivery from before a Seek
)

func (s state) String() string { return [...]string{"in flight", "parked", "waiting"}[s] }

// entry is one unsettled record.
type entry struct {
	seq     uint64
	lane    uint64
	attempt int
	due     int64 // parked: when it comes back
	after   int64 // parked: how long it was parked for
	state   state
	dirty   bool // changed since the last Changes
	saved   bool // Changes has reported it, so its end must be reported too
	held    bool // waiting: nothing of its lane goes first

	prev, next *entry // all unsettled, ascending by seq
	behind     *entry // waits for this one in its lane
}

// Cursor is one consumer's progress. It is not safe for concurrent use.
type Cursor struct {
	// next is the seq that was not yet looked at. Every unsettled seq is below.
	next uint64
	// unsettled by seq; the same entries are in the list first..last.
	unsettled   map[uint64]*entry
	first, last *entry
	// due holds the parked entries, the earliest on top.
	due dueHeap
	// lanes holds the last of each busy lane. The first of a lane is in flight
	// or parked, the others wait behind each other in the order of their seqs.
	lanes map[uint64]*entry
	// left are the deliveries of before a Seek that are in flight still, by seq.
	// They are not unsettled.
	left     map[uint64]*entry
	inFlight int
	// again are those in flight that are not the first attempt.
	again  int
	parked int

	dirty []*entry
	gone  []uint64
	moved bool
	free  *entry
}

// New returns the cursor of a consumer that wants everything from next on.
func New(next uint64) *Cursor {
	return &Cursor{next: next, unsettled: map[uint64]*entry{}, lanes: map[uint64]*entry{}, moved: true}
}

// Next is the seq that Begin or Skip wants.
func (c *Cursor) Next() uint64 { return c.next }

// Floor is the seq below which all is settled.
func (c *Cursor) Floor() uint64 {
	if c.first != nil {
		return c.first.seq
	}
	return c.next
}

// InFlight is the number of deliveries handed out.
func (c *Cursor) InFlight() int { return c.inFlight }

// Again is the number of deliveries handed out that were tried before.
func (c *Cursor) Again() int { return c.again }

// Parked is the number of retries that wait for their time.
func (c *Cursor) Parked() int { return c.parked }

// Unsettled is the number of all records that were begun and not settled.
func (c *Cursor) Unsettled() int { return len(c.unsettled) }

// SkipTo settles everything from Next to seq without a delivery.
func (c *Cursor) SkipTo(seq uint64) {
	if seq > c.next {
		c.next = seq
		c.moved = true
	}
}

// Begin hands out the record at Next, or lets it wait where its lane is busy:
// then TakeDue hands it out later. It says whether the delivery may start.
func (c *Cursor) Begin(lane uint64) bool {
	e := c.newEntry(c.next, lane)
	c.link(e)
	c.next++
	c.moved = true
	if c.queue(e) {
		e.state = waiting
		return false
	}
	if c.left[e.seq] != nil {
		e.state, e.held = waiting, true
		return false
	}
	e.state = inFlight
	c.inFlight++
	return true
}

// TakeDue hands out the record that is due at now, the longest due first.
func (c *Cursor) TakeDue(now int64) (seq uint64, attempt int, ok bool) {
	if len(c.due) == 0 || c.due[0].due > now {
		return 0, 0, false
	}
	e := heap.Pop(&c.due).(*entry)
	c.parked--
	c.inFlight++
	if e.attempt > 0 {
		c.again++
	}
	e.state = inFlight
	c.touch(e)
	return e.seq, e.attempt, true
}

// NextDue is when TakeDue has something again, and which attempt that is.
func (c *Cursor) NextDue() (at int64, attempt int, ok bool) {
	if len(c.due) == 0 {
		return 0, 0, false
	}
	return c.due[0].due, c.due[0].attempt, true
}

// Settle ends a delivery for good.
func (c *Cursor) Settle(seq uint64) error {
	if c.leave(seq) {
		return nil
	}
	e, err := c.flying(seq)
	if err != nil {
		return err
	}
	c.land(e)
	c.unlink(e)
	c.freeLane(e)
	if e.saved {
		c.gone = append(c.gone, seq)
	}
	c.moved = true
	c.recycle(e)
	return nil
}

// Park lets a delivery come back as the next attempt, after a time from now
// that is at most Forever.
func (c *Cursor) Park(seq uint64, now, after int64) error {
	if c.leave(seq) {
		return nil
	}
	e, err := c.flying(seq)
	if err != nil {
		return err
	}
	c.land(e)
	e.attempt++
	after = min(max(after, 0), Forever)
	c.toParked(e, now+after, after)
	return nil
}

// Release gives a delivery back: it comes back at once, the same attempt.
func (c *Cursor) Release(seq uint64) error {
	if c.leave(seq) {
		return nil
	}
	e, err := c.flying(seq)
	if err != nil {
		return err
	}
	c.land(e)
	c.toParked(e, 0, 0)
	return nil
}

// ReleaseAll gives back all deliveries, for a consumer that closes.
func (c *Cursor) ReleaseAll() {
	for seq := range c.left {
		c.leave(seq)
	}
	for e := c.first; e != nil; e = e.next {
		if e.state == inFlight {
			c.land(e)
			c.toParked(e, 0, 0)
		}
	}
}

func (c *Cursor) flying(seq uint64) (*entry, error) {
	e := c.unsettled[seq]
	if e == nil {
		return nil, fmt.Errorf("seq %d: %w", seq, ErrNotInFlight)
	}
	if e.state != inFlight {
		return nil, fmt.Errorf("seq %d is %s: %w", seq, e.state, ErrNotInFlight)
	}
	return e, nil
}

// land takes an entry out of those in flight.
func (c *Cursor) land(e *entry) {
	c.inFlight--
	if e.attempt > 0 {
		c.again--
	}
}

func (c *Cursor) toParked(e *entry, due, after int64) {
	e.state, e.due, e.after = parked, due, after
	heap.Push(&c.due, e)
	c.parked++
	c.touch(e)
}

// queue puts e at the end of its lane and says whether it waits for another.
func (c *Cursor) queue(e *entry) bool {
	if e.lane == NoLane {
		return false
	}
	last := c.lanes[e.lane]
	c.lanes[e.lane] = e
	if last != nil {
		last.behind = e
	}
	return last != nil
}

// freeLane lets the one behind a settled entry go.
func (c *Cursor) freeLane(e *entry) {
	switch {
	case e.lane == NoLane:
	case e.behind == nil:
		delete(c.lanes, e.lane)
	case c.left[e.behind.seq] != nil:
		e.behind.held = true
	default:
		c.toParked(e.behind, 0, 0)
	}
}

// recycle takes an entry back that is not linked any more. A dirty one is in
// c.dirty still, and Changes takes it back.
func (c *Cursor) recycle(e *entry) {
	if !e.dirty {
		*e = entry{next: c.free}
		c.free = e
	}
}

func (c *Cursor) newEntry(seq, lane uint64) *entry {
	e := c.free
	if e == nil {
		e = &entry{}
	} else {
		c.free = e.next
	}
	*e = entry{seq: seq, lane: lane}
	c.touch(e)
	return e
}

func (c *Cursor) touch(e *entry) {
	c.moved = true
	if !e.dirty {
		e.dirty = true
		c.dirty = append(c.dirty, e)
	}
}

// link appends e, whose seq is above all others.
func (c *Cursor) link(e *entry) {
	if c.last != nil && c.last.seq >= e.seq {
		panic(fmt.Sprintf("BUG: invariant 4: seq %d begun after %d", e.seq, c.last.seq))
	}
	c.unsettled[e.seq] = e
	e.prev = c.last
	if c.last == nil {
		c.first = e
	} else {
		c.last.next = e
	}
	c.last = e
}

func (c *Cursor) unlink(e *entry) {
	delete(c.unsettled, e.seq)
	if e.prev == nil {
		c.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		c.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

// dueHeap orders parked entries by due, then by seq.
type dueHeap []*entry

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].seq < h[j].seq
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(*entry)) }
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
