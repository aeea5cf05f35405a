package dispatch

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
)

// The attributes that say why an event is a dead letter, as
// deliver.SetErrorAttributes writes them.
const (
	errorDest = "knativeerrordest"
	errorCode = "knativeerrorcode"
	errorData = "knativeerrordata"
)

// failure is why an event is to be a dead letter.
type failure struct {
	// event is the reply that could not be handed on; nil means the stored
	// event itself.
	event *cloudevent.Event
	// dest is the address that failed, without a user: it goes into events and
	// is shown.
	dest string
	// outcome is of the last attempt at dest; nil when it is not known any more.
	outcome *deliver.Outcome
	// tries is how often the dead letter sink has refused it.
	tries int
}

// newFailure describes an attempt at dest that failed.
func newFailure(dest string, o deliver.Outcome) failure {
	return failure{dest: deliver.WithoutUser(dest), outcome: &o}
}

// mark writes the failure into the event's attributes, in place of what an
// earlier one may have left there.
func (f failure) mark(e *cloudevent.Event) {
	unmark(e)
	if f.outcome == nil {
		e.Set(errorDest, f.dest)
		return
	}
	deliver.SetErrorAttributes(e, f.dest, *f.outcome)
}

func unmark(e *cloudevent.Event) {
	e.Delete(errorDest)
	e.Delete(errorCode)
	e.Delete(errorData)
}

// String says it in a few words, without event data.
func (f failure) String() string {
	switch {
	case f.outcome == nil:
		return f.dest + " failed"
	case f.outcome.Err != nil:
		return f.dest + ": " + f.outcome.Err.Error()
	case f.outcome.ReplyErr != nil:
		return f.dest + " sent no valid reply: " + f.outcome.ReplyErr.Error()
	}
	s := f.dest + " answered " + strconv.Itoa(f.outcome.Status)
	if text := http.StatusText(f.outcome.Status); text != "" {
		s += " " + text
	}
	return s
}

// size is about how many bytes remembering the failure takes.
func (f failure) size() int64 {
	n := 1024 + len(f.dest)
	if f.outcome != nil {
		n += len(f.outcome.Body)
	}
	if f.event != nil {
		n += 1024 + len(f.event.Data())
	}
	return int64(n)
}

// budget bounds the bytes of all that is remembered.
type budget struct{ left atomic.Int64 }

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }

// memory keeps the failures of one route whose dead letters wait for their
// sink. It is a help and no more: what is not in it (there was no room, or the
// process has died since) goes to the sink with fewer attributes once its
// retries are used up.
type memory struct {
	budget *budget
	mu     sync.Mutex
	m      map[engine.Seq]failure
}

func (m *memory) put(seq engine.Seq, f failure) {
	if !m.budget.take(f.size()) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = make(map[engine.Seq]failure)
	}
	m.m[seq] = f
}

// take returns the failure and forgets it.
func (m *memory) take(seq engine.Seq) (failure, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.m[seq]
	if ok {
		delete(m.m, seq)
		m.budget.give(f.size())
	}
	return f, ok
}

func (m *memory) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.m {
		m.budget.give(f.size())
	}
	m.m = nil
}
