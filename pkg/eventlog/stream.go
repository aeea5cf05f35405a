package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Entry is what is appended. The log keeps Data: it must not be changed.
type Entry struct {
	Tag  Tag
	Data []byte
}

// Record is a stored entry. Data must not be changed; it stays valid.
type Record struct {
	Seq  uint64
	Tag  Tag
	Data []byte
}

// Stream is one ordered sequence of records. All methods may be called
// concurrently.
type Stream struct {
	log  *Log
	name string
	id   streamID
	// damage is why the stream could not be recovered, nil if it was.
	damage error

	// next is the seq of the next record to be written, next > head; trimmed is
	// the seq below which all is gone in the store, trimmed >= first. Only the
	// committer's write goroutine changes them.
	next    uint64
	trimmed atomic.Uint64
	removed atomic.Bool

	mu sync.RWMutex
	// first is the oldest record kept. first <= head+1.
	first uint64
	// head is the newest durable record (invariant 2). It never falls.
	head uint64
	// recent are the newest records up to head, without gaps.
	recent []Record
	// onDurable is told of new records, in order.
	onDurable func([]Record)
}

func newStream(l *Log, name string, id streamID, first, head uint64) *Stream {
	s := &Stream{log: l, name: name, id: id, next: head + 1, first: first, head: head}
	s.trimmed.Store(first)
	return s
}

// newDamagedStream is one whose bounds cannot be read. It holds its name, and
// the keys of all records that it may have.
func newDamagedStream(l *Log, name string, id streamID, damage error) *Stream {
	s := newStream(l, name, id, 1, math.MaxUint64-1)
	s.damage = fmt.Errorf("stream %s: %w", name, damage)
	return s
}

// Name is the stream's name.
func (s *Stream) Name() string { return s.name }

// Append stores all entries or none and returns the seq of the first. It
// returns only when they are durable. When ctx ends first, or after an error
// that is ErrFailed, it is unknown whether they are stored.
func (s *Stream) Append(ctx context.Context, entries []Entry) (first uint64, err error) {
	if len(entries) == 0 {
		return 0, fmt.Errorf("append to %s: nothing to append", s.name)
	}
	return s.log.commit.append(ctx, s, entries)
}

// publish makes durable records visible.
func (s *Stream) publish(t *tail, first uint64, entries []Entry) {
	s.mu.Lock()
	if first != s.head+1 {
		s.mu.Unlock()
		panic(fmt.Sprintf("BUG: invariant 3: stream %s at head %d published seq %d", s.name, s.head, first))
	}
	bytes := 0
	for i, e := range entries {
		s.recent = append(s.recent, Record{Seq: first + uint64(i), Tag: e.Tag, Data: e.Data})
		bytes += recordOverhead + len(e.Data)
	}
	s.head = first + uint64(len(entries)) - 1
	added := s.recent[len(s.recent)-len(entries):]
	notify := s.onDurable
	s.mu.Unlock()
	if notify != nil {
		notify(added)
	}
	t.add(s, s.head, bytes)
}

// OnDurable sets the function that is told of each group of new records right
// after they became durable, in order, by one goroutine at a time. It must be
// quick and must not keep the slice. Nobody may trim a record that f was not yet
// told of: its place in the slice is cleared.
func (s *Stream) OnDurable(f func([]Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onDurable = f
}

// Bounds returns the oldest seq kept and the durable head. A stream without
// records has first = head+1.
func (s *Stream) Bounds() (first, head uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first, s.head
}

// Read appends up to maxRecords records from seq from on to dst, or from the
// oldest one kept if that is later. It stops early behind maxBytes of payloads.
// It never reads past the durable head. ErrClosed says that the stream was
// removed or the log closed.
func (s *Stream) Read(dst []Record, from uint64, maxRecords, maxBytes int) ([]Record, error) {
	if s.removed.Load() {
		return dst, ErrClosed
	}
	s.mu.RLock()
	from = max(from, s.first)
	head := s.head
	if n := len(s.recent); n > 0 && from >= s.recent[0].Seq {
		if from <= head {
			dst = takeRecords(dst, s.recent[from-s.recent[0].Seq:], maxRecords, maxBytes)
		}
		s.mu.RUnlock()
		return dst, nil
	}
	s.mu.RUnlock()
	if from > head || maxRecords <= 0 {
		return dst, nil
	}
	return s.readStored(dst, from, head, maxRecords, maxBytes)
}

func takeRecords(dst, src []Record, maxRecords, maxBytes int) []Record {
	for i := range src {
		if i >= maxRecords || maxBytes <= 0 {
			break
		}
		dst = append(dst, src[i])
		maxBytes -= len(src[i].Data)
	}
	return dst
}

func (s *Stream) readStored(dst []Record, from, head uint64, maxRecords, maxBytes int) ([]Record, error) {
	if err := s.log.startReading(); err != nil {
		return dst, err
	}
	defer s.log.reading.RUnlock()
	iter, err := s.log.db.NewIter(&pebble.IterOptions{
		LowerBound: recordKey(s.id, from), UpperBound: recordKey(s.id, head+1),
	})
	if err != nil {
		return dst, fmt.Errorf("read %s from %d: %w", s.name, from, err)
	}
	for iter.First(); iter.Valid() && maxRecords > 0 && maxBytes > 0; iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return dst, errors.Join(fmt.Errorf("read %s at %d: %w", s.name, seqOf(iter.Key()), located(err)), iter.Close())
		}
		r := Record{Seq: seqOf(iter.Key()), Data: append([]byte(nil), value[TagSize:]...)}
		if err := s.follows(r.Seq, from); err != nil {
			return dst, errors.Join(err, iter.Close())
		}
		copy(r.Tag[:], value)
		dst = append(dst, r)
		from = r.Seq + 1
		maxRecords--
		maxBytes -= len(r.Data)
	}
	if err := iter.Close(); err != nil {
		return dst, fmt.Errorf("read %s at %d: %w", s.name, from, located(err))
	}
	return dst, nil
}

// follows says whether seq may be the next record that is read from from on. A
// hole can only be there because records are gone that were not trimmed.
func (s *Stream) follows(seq, from uint64) error {
	if seq == from || seq <= s.trimmed.Load() {
		return nil
	}
	first, head := s.Bounds()
	return fmt.Errorf("read %s at %d: %w: the events %d to %d are not there, though those from %d to %d are kept and up to %d are trimmed",
		s.name, from, ErrDamaged, from, seq-1, first, head, s.trimmed.Load()-1)
}

// Trim drops all records below seq, at most all there are. It is not durable
// at once: after a crash some may be back.
func (s *Stream) Trim(ctx context.Context, seq uint64) error {
	first, head := s.Bounds()
	if seq = min(seq, head+1); seq <= first {
		return nil
	}
	err := s.log.commit.do(ctx, func(b *pebble.Batch) error {
		if s.removed.Load() {
			return ErrClosed
		}
		from := s.trimmed.Load()
		if seq <= from {
			return nil // another Trim was faster; this one must not take its mark back
		}
		s.trimmed.Store(seq) // before a reader can find a hole there
		return setTrim(b, s.id, from, seq)
	})
	if err != nil {
		return fmt.Errorf("trim %s to %d: %w", s.name, seq, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = max(s.first, seq)
	s.forget(seq - 1)
	return nil
}

// forget drops records up to seq from memory. s.mu is held.
func (s *Stream) forget(upTo uint64) {
	if len(s.recent) == 0 || s.recent[0].Seq > upTo {
		return
	}
	n := min(int(upTo-s.recent[0].Seq)+1, len(s.recent))
	clear(s.recent[:n])
	s.recent = s.recent[n:]
}

// Marks calls f with each mark whose key begins with the prefix, in the order
// of the keys. The slices are valid during the call only. f must not use the log.
func (s *Stream) Marks(prefix []byte, f func(key, value []byte) error) error {
	if err := s.log.startReading(); err != nil {
		return err
	}
	defer s.log.reading.RUnlock()
	full := markKey(s.id, prefix)
	iter, err := s.log.db.NewIter(&pebble.IterOptions{LowerBound: full, UpperBound: prefixEnd(full)})
	if err != nil {
		return fmt.Errorf("read the marks of %s: %w", s.name, located(err))
	}
	for iter.First(); iter.Valid(); iter.Next() {
		if err := f(iter.Key()[5:], iter.Value()); err != nil {
			_ = iter.Close() // the caller's error is the one that matters
			return err
		}
	}
	if err := iter.Close(); err != nil {
		return fmt.Errorf("read the marks of %s: %w", s.name, located(err))
	}
	return nil
}
