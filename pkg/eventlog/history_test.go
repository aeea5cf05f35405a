package eventlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// history is what was asked of a log and what it acknowledged, in order. A
// crash at a moment must leave what was acknowledged before it, and may leave
// what was asked before it.
type history struct {
	mu     sync.Mutex
	events []event
}

// event is one request, once when it is made and once when it is acknowledged.
type event struct {
	acked bool
	*request
}

// request is one call. life is the id of the stream: a stream that was removed
// and made again has another life.
type request struct {
	kind  requestKind
	name  string
	life  streamID
	texts []string // append
	seq   uint64   // append: the first seq; trim: below which; mark: the value
	key   string   // mark
}

type requestKind string

const (
	created  requestKind = "create"
	removed  requestKind = "remove"
	appended requestKind = "append"
	trimmed  requestKind = "trim"
	marked   requestKind = "mark"
)

func (h *history) ask(r request) *request {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event{false, &r})
	return &r
}

// ack says that r was acknowledged; seq and life are the answer, if any.
func (h *history) ack(r *request, life streamID, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	answered := *r
	answered.life, answered.seq = life, seq
	h.events = append(h.events, event{true, &answered})
}

func (h *history) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

func (h *history) slice(n int) []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events[:n:n]
}

// lifeModel is what the history says of one life of a stream.
type lifeModel struct {
	name             string
	acked            map[uint64]string   // by seq
	asked            map[string][]string // batches by their first text
	trimAsked        uint64
	markAcked        map[string]uint64
	markAsked        map[string]uint64
	created, removed bool // acknowledged
	removeAsked      bool
}

func newLife(name string) *lifeModel {
	return &lifeModel{
		name: name, acked: map[uint64]string{}, asked: map[string][]string{},
		markAcked: map[string]uint64{}, markAsked: map[string]uint64{},
	}
}

func (m *lifeModel) add(e event) {
	switch e.kind {
	case appended:
		m.asked[e.texts[0]] = e.texts
		for i, text := range e.texts {
			if e.acked {
				m.acked[e.seq+uint64(i)] = text
			}
		}
	case trimmed:
		m.trimAsked = max(m.trimAsked, e.seq)
	case marked:
		m.markAsked[e.key] = max(m.markAsked[e.key], e.seq)
		if e.acked {
			m.markAcked[e.key] = max(m.markAcked[e.key], e.seq)
		}
	case removed:
		m.removeAsked = true
		m.removed = m.removed || e.acked
	case created:
		m.created = m.created || e.acked
	}
}

// check compares a log that was opened after a crash with the history: events
// before acked were acknowledged or asked, those before asked may have been
// asked before the crash.
func check(l *Log, events []event, acked int) error {
	lives := map[streamID]*lifeModel{}
	createAsked := map[string]bool{}
	for i, e := range events {
		if e.acked && i >= acked {
			continue
		}
		if e.kind == created && !e.acked {
			createAsked[e.name] = true
			continue // its life is not known yet
		}
		if lives[e.life] == nil {
			lives[e.life] = newLife(e.name)
		}
		lives[e.life].add(e)
	}
	var errs []error
	for id, m := range lives {
		s := l.streams[m.name]
		switch {
		case s != nil && s.id == id && m.removed:
			errs = append(errs, fmt.Errorf("%s: life %d was removed and is back", m.name, id))
		case s != nil && s.id == id:
			errs = append(errs, m.check(s))
		case !m.removeAsked && m.created:
			errs = append(errs, fmt.Errorf("%s: LOST: life %d", m.name, id))
		}
		if m.created && l.nextID <= id {
			errs = append(errs, fmt.Errorf("the id %d would be given again", id))
		}
	}
	for name, s := range l.streams {
		if !createAsked[name] {
			errs = append(errs, fmt.Errorf("%s: nobody asked for it", name))
		}
		if lives[s.id] == nil {
			errs = append(errs, newLife(name).check(s)) // it was not acknowledged yet, so it is empty
		}
	}
	return errors.Join(errs...)
}

// check compares a stream with what the history says of its life.
func (m *lifeModel) check(s *Stream) error {
	first, head := s.Bounds()
	records, err := s.Read(nil, 0, 1<<30, 1<<40)
	if err != nil {
		return err
	}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s %d..%d: "+format, append([]any{m.name, first, head}, args...)...))
	}
	if first > max(m.trimAsked, 1) {
		bad("trimmed, but the farthest trim was to %d", m.trimAsked)
	}
	if uint64(len(records)) != head+1-first {
		bad("%d records", len(records))
	}
	for _, seq := range slices.Sorted(maps.Keys(m.acked)) {
		switch {
		case seq > head:
			bad("LOST: acknowledged seq %d is above the head", seq)
		case seq >= first && string(records[seq-first].Data) != m.acked[seq]:
			bad("acknowledged seq %d is %.20q, not %.20q", seq, records[seq-first].Data, m.acked[seq])
		}
	}
	m.checkBatches(first, records, bad)
	m.checkMarks(s, head, bad)
	return errors.Join(errs...)
}

// checkBatches finds each record in what was asked: whole batches, in order,
// none twice.
func (m *lifeModel) checkBatches(first uint64, records []Record, bad func(string, ...any)) {
	batchOf, place := map[string]string{}, map[string]int{}
	for key, texts := range m.asked {
		for i, text := range texts {
			batchOf[text], place[text] = key, i
		}
	}
	seen := map[string]uint64{}
	for i, r := range records {
		text := string(r.Data)
		var tag Tag
		if copy(tag[:], text); tag != r.Tag {
			bad("seq %d has the tag %.20q, not the beginning of %.20q", r.Seq, r.Tag, text)
		}
		key, ok := batchOf[text]
		switch {
		case r.Seq != first+uint64(i):
			bad("seq %d at place %d", r.Seq, i)
		case !ok:
			bad("seq %d is %.20q, which nobody appended", r.Seq, text)
		case seen[text] != 0:
			bad("%.20q is there twice, as %d and %d", text, seen[text], r.Seq)
		case place[text] > 0 && i > 0 && string(records[i-1].Data) != m.asked[key][place[text]-1]:
			bad("seq %d is %.20q, which does not follow on %.20q", r.Seq, text, records[i-1].Data)
		case place[text]+1 < len(m.asked[key]) && i == len(records)-1:
			bad("the batch of %.20q is cut off", text)
		}
		seen[text] = r.Seq
	}
}

// checkMarks: an acknowledged mark is there, or a later one; and a mark never
// says more than the log holds.
func (m *lifeModel) checkMarks(s *Stream, head uint64, bad func(string, ...any)) {
	got := map[string]uint64{}
	err := s.Marks(nil, func(key, value []byte) error {
		got[string(bytes.Clone(key))] = binary.BigEndian.Uint64(value)
		return nil
	})
	if err != nil {
		bad("marks: %v", err)
	}
	for key, value := range m.markAcked {
		if got[key] < value {
			bad("LOST: mark %s is %d, acknowledged was %d", key, got[key], value)
		}
	}
	for key, value := range got {
		if value > m.markAsked[key] {
			bad("mark %s is %d, at most %d was asked for", key, value, m.markAsked[key])
		}
		if value > head {
			bad("mark %s is %d, AHEAD of the log", key, value)
		}
	}
}
