package cursor

// Seek makes seq the next one and forgets all that is unsettled: what is below
// seq is settled, what is not comes as if for the first time. It is the only
// transition that moves a floor back (invariant 4).
//
// Whoever has a delivery is at work on it still. So what is in flight keeps its
// slot and its lane until it is settled, in whichever way, which then says
// nothing about the record any more: where that is to come again it waits until
// then.
//
// skipped counts the unsettled records below seq, again the settled ones from
// there on.
func (c *Cursor) Seek(seq uint64) (skipped, again uint64) {
	kept := uint64(0)
	for e := c.first; e != nil; {
		forgotten := e
		e = e.next
		if forgotten.seq < seq {
			skipped++
		} else {
			kept++
		}
		c.forget(forgotten)
	}
	if seq > c.next {
		skipped += seq - c.next
	} else {
		again = c.next - seq - kept
	}
	clear(c.unsettled)
	clear(c.lanes)
	clear(c.due)
	c.first, c.last, c.due, c.parked = nil, nil, c.due[:0], 0
	for _, l := range c.left {
		l.behind = nil
		if l.lane != NoLane {
			c.lanes[l.lane] = l
		}
	}
	c.next, c.moved = seq, true
	return skipped, again
}

// forget ends an entry that Seek takes out.
func (c *Cursor) forget(e *entry) {
	if e.saved {
		c.gone = append(c.gone, e.seq)
	}
	if e.state == inFlight {
		if c.left == nil {
			c.left = map[uint64]*entry{}
		}
		c.left[e.seq] = &entry{seq: e.seq, lane: e.lane, attempt: e.attempt}
	}
	c.recycle(e)
}

// leave ends a delivery that was handed out before a Seek, and says whether it
// was one.
func (c *Cursor) leave(seq uint64) bool {
	l := c.left[seq]
	if l == nil {
		return false
	}
	c.land(l)
	delete(c.left, seq)
	c.freeLane(l)
	if e := c.unsettled[seq]; e != nil && e.held {
		e.held = false
		c.toParked(e, 0, 0)
	}
	return true
}
