package cursor

import (
	"fmt"
	"slices"
)

// Unsettled is one record that was begun and not settled, as it is saved.
type Unsettled struct {
	Seq     uint64
	Lane    uint64
	Attempt int
	// Parked says whether Due and After mean something. An entry that is not
	// parked was in flight or waiting and comes back at once.
	Parked bool
	// Due is when it comes back, After how long it was parked for.
	Due, After int64
}

// Changes is what happened since the last time, small when little happened:
// applied to what was saved before, first Gone and then Put, it gives the whole
// state.
type Changes struct {
	Next uint64
	// Gone are records that were put before and have been settled, or forgotten
	// by a Seek, since. What has begun anew after one is in Put as well.
	Gone []uint64
	// Put are new or changed records.
	Put []Unsettled
}

// Changed says whether Changes has something to tell.
func (c *Cursor) Changed() bool { return c.moved }

// Changes returns what happened since it was called last. The caller saves it
// as a whole or gives the cursor up.
func (c *Cursor) Changes() Changes {
	ch := Changes{Next: c.next, Gone: c.gone}
	for _, e := range c.dirty {
		e.dirty = false
		if c.unsettled[e.seq] != e {
			c.recycle(e) // settled before it was ever saved, or in gone
			continue
		}
		e.saved = true
		ch.Put = append(ch.Put, Unsettled{
			Seq: e.seq, Lane: e.lane, Attempt: e.attempt,
			Parked: e.state == parked, Due: e.due, After: e.after,
		})
	}
	c.dirty, c.gone, c.moved = c.dirty[:0], nil, false
	return ch
}

// Restore returns the cursor that was saved. Due times are on the present
// clock. What was in flight or waiting comes back at once.
func Restore(next uint64, unsettled []Unsettled) (*Cursor, error) {
	c := New(next)
	slices.SortFunc(unsettled, func(a, b Unsettled) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	for i, u := range unsettled {
		if u.Seq >= next || i > 0 && unsettled[i-1].Seq == u.Seq {
			return nil, fmt.Errorf("saved progress: seq %d does not fit before next %d", u.Seq, next)
		}
		e := c.newEntry(u.Seq, u.Lane)
		e.attempt, e.saved, e.dirty = u.Attempt, true, false
		c.link(e)
		if c.queue(e) {
			e.state = waiting
			continue
		}
		due, after := int64(0), int64(0)
		if u.Parked {
			due, after = u.Due, u.After
		}
		c.toParked(e, due, after)
		e.dirty = false
	}
	c.dirty, c.moved = c.dirty[:0], false
	return c, nil
}
