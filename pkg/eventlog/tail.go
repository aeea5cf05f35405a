package eventlog

// recordOverhead is about what a record takes in memory besides its payload.
const recordOverhead = 64

// tail bounds the memory of the recent records of all streams together: when
// the budget is used up, the oldest go first, whichever stream they are of. It
// is used by one goroutine.
type tail struct {
	budget int
	used   int
	groups []tailGroup
}

type tailGroup struct {
	stream *Stream
	last   uint64
	bytes  int
}

// add counts the records of s up to last, which are bytes more than before.
func (t *tail) add(s *Stream, last uint64, bytes int) {
	t.groups = append(t.groups, tailGroup{s, last, bytes})
	t.used += bytes
	for t.used > t.budget {
		g := t.groups[0]
		t.groups[0] = tailGroup{}
		t.groups = t.groups[1:]
		t.used -= g.bytes
		g.stream.mu.Lock()
		g.stream.forget(g.last)
		g.stream.mu.Unlock()
	}
}
