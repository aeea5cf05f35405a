// Package eventlog is a durable, ordered log of opaque payloads on Pebble:
// group commit, marks and trim.
//
// A Log holds streams. What is appended to a stream gets consecutive seqs; a
// mark is a small value beside the records, for the progress of readers.
//
// # Durability
//
// All writes go through one committer (commit.go), which puts everything that
// is waiting into one Pebble batch and syncs it once. A stream's head moves
// only after that sync, and readers never see past the head: in Pebble a batch
// is visible before it is synced, so the head and not Pebble is what says that
// a record exists (invariant 2). A write or sync that fails ends the log: no
// later write is taken, because nobody can say what is on the disk.
package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors that callers tell apart, with errors.Is.
var (
	// ErrClosed says that the log was closed or the stream removed.
	ErrClosed = errors.New("the event log is closed")
	// ErrFailed says that an earlier write or sync failed, see the package doc.
	ErrFailed = errors.New("the event log failed and takes no more events; restart the process")
	// ErrFormat says that the folder has a layout this version does not know.
	ErrFormat = errors.New("unknown data format")
	// ErrLocked says that another process has the folder open.
	ErrLocked = errors.New("the data folder is in use by another process")

	errNotExist = os.ErrNotExist
)

// Options of a log. The zero value is ready for use.
type Options struct {
	// FS is the file system, the machine's if nil.
	FS vfs.FS
	// Logger receives what a person must know; discarded if nil.
	Logger *slog.Logger
	// TailBytes bounds the memory that holds the newest payloads of all streams
	// for readers near the head. 0 means 32 MiB.
	TailBytes int
	// Fatal is told, once, why the log takes no more events: a write or a sync
	// failed, or Pebble cannot go on. It must say so and end the process, which
	// recovers what was durable when it starts again; no later write is
	// acknowledged, and Pebble may panic right after. Nil panics.
	Fatal func(msg string)
	// OnSync is told of each sync: how long it took and how many bytes of
	// payloads it made durable. It must be quick.
	OnSync func(seconds float64, bytes int)

	fault fault
	// memTable is the size of Pebble's memtables, 0 what fits the disk. Tests make
	// it small, so that flushes and new log files come often.
	memTable uint64
	// fullPause is the time until a table is written again for which there was no
	// room.
	fullPause time.Duration
}

// fault plants a bug, for the tests that show that they would find it.
type fault int

const (
	noFault        fault = iota
	syncDropped          // acknowledge without a sync
	headBeforeSync       // publish, and so acknowledge, before the sync
)

// Log is a set of streams in one folder. All methods may be called
// concurrently.
type Log struct {
	db      *pebble.DB
	lock    *pebble.Lock
	opts    Options
	commit  *committer
	damages *damages
	watch   *watchFS

	// reading is held by readers of the store, which must not be closed under
	// them.
	reading  sync.RWMutex
	released bool

	mu      sync.Mutex
	streams map[string]*Stream
	nextID  streamID
	closed  bool
}

// Open opens the log in dir, and makes it where there is none. It recovers what
// was durable when the last process ended, however that was.
func Open(dir string, opts Options) (*Log, error) {
	opts = opts.withDefaults()
	if err := makeFolder(opts.FS, dir); err != nil {
		return nil, fmt.Errorf("create the data folder %s: %w", dir, err)
	}
	if err := checkFormat(opts.FS, dir); err != nil {
		return nil, err
	}
	store := opts.FS.PathJoin(dir, storeFolder)
	if err := opts.FS.MkdirAll(store, 0o700); err != nil {
		return nil, fmt.Errorf("create %s: %w", store, err)
	}
	lock, err := pebble.LockDirectory(store, opts.FS)
	if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) {
		return nil, fmt.Errorf("lock the data folder %s: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s (%w)", ErrLocked, dir, err)
	}
	if opts.memTable == 0 {
		opts.memTable = memTableFor(opts.FS, dir)
	}
	watch, damages := newWatchFS(opts), newDamages(opts.Logger)
	db, err := openStore(store, pebbleOptions(opts, watch, lock, damages), watch)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the event log in %s: %w", dir, err), lock.Close())
	}
	l := &Log{db: db, lock: lock, opts: opts, damages: damages, watch: watch, streams: map[string]*Stream{}, nextID: 1}
	l.commit = newCommitter(db, opts)
	report := func(err error) { opts.Fatal(l.commit.fail(err).Error()) }
	watch.report.Store(&report)
	if err := l.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the event log in %s: %w", dir, located(err)), l.Close())
	}
	return l, nil
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TailBytes == 0 {
		o.TailBytes = 32 << 20
	}
	if o.fullPause == 0 {
		o.fullPause = time.Second
	}
	if o.Fatal == nil {
		o.Fatal = func(msg string) {
			go panic(msg) // where nobody recovers
			select {}
		}
	}
	var once sync.Once
	fatal := o.Fatal
	o.Fatal = func(msg string) { once.Do(func() { fatal("the event log cannot go on: " + msg) }) }
	if o.OnSync == nil {
		o.OnSync = func(float64, int) {}
	}
	return o
}

// recover reads the streams and where each begins and ends.
func (l *Log) recover() error {
	if next, err := l.get([]byte{keyNextID}); err != nil {
		return err
	} else if len(next) == 4 {
		l.nextID = streamID(binary.BigEndian.Uint32(next))
	}
	// Not from the bare prefix on: that is where the store's index may put the end
	// of the newest records, which would be read for nothing, damaged or not.
	first := []byte{keyStream, 0}
	iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: prefixEnd(first[:1])})
	if err != nil {
		return err
	}
	for iter.First(); iter.Valid(); iter.Next() {
		name := string(iter.Key()[1:])
		id := streamID(binary.BigEndian.Uint32(iter.Value()))
		l.damages.name(id, name)
		s, err := l.recoverStream(name, id)
		if err = located(err); errors.Is(err, ErrDamaged) {
			s = newDamagedStream(l, name, id, err)
		} else if err != nil {
			return errors.Join(fmt.Errorf("stream %s: %w", name, err), iter.Close())
		}
		l.streams[name] = s
	}
	return iter.Close()
}

func (l *Log) recoverStream(name string, id streamID) (*Stream, error) {
	first := uint64(1)
	if trim, err := l.get(idKey(keyTrim, id)); err != nil {
		return nil, err
	} else if len(trim) == 8 {
		first = binary.BigEndian.Uint64(trim)
	}
	head := first - 1
	prefix := idKey(keyRecord, id)
	iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: recordKey(id, first), UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, err
	}
	if iter.Last() {
		head = seqOf(iter.Key())
	}
	if err := iter.Close(); err != nil {
		return nil, err
	}
	return newStream(l, name, id, first, head), nil
}

func (l *Log) get(key []byte) ([]byte, error) {
	value, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(value), closer.Close()
}

// Streams lists the names of all streams, sorted.
func (l *Log) Streams() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(l.streams))
	for name := range l.streams {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Has reports whether there is a stream of that name.
func (l *Log) Has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams[name] != nil
}

// Stream returns the stream of that name; created durably if there is none.
// ErrDamaged says that its end cannot be read: then nobody knows which seq is
// the next one, and it takes no records.
func (l *Log) Stream(ctx context.Context, name string) (*Stream, error) {
	if name == "" {
		return nil, errors.New("a stream must have a name")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if s := l.streams[name]; s != nil {
		return s, s.damage
	}
	id := l.nextID
	l.nextID++
	err := l.commit.do(ctx, func(b *pebble.Batch) error {
		return errors.Join(
			b.Set([]byte{keyNextID}, binary.BigEndian.AppendUint32(nil, uint32(id+1)), nil),
			b.Set(nameKey(name), binary.BigEndian.AppendUint32(nil, uint32(id)), nil))
	})
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", name, err)
	}
	s := newStream(l, name, id, 1, 0)
	l.damages.name(id, name)
	l.streams[name] = s
	return s, nil
}

// Remove deletes the stream of that name with its records and marks, durably.
// Appends to it that are under way, and later ones, fail with ErrClosed.
func (l *Log) Remove(ctx context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	s := l.streams[name]
	if s == nil {
		return nil
	}
	err := l.commit.do(ctx, func(b *pebble.Batch) error {
		s.removed.Store(true)
		errs := []error{b.Delete(nameKey(name), nil), b.Delete(idKey(keyTrim, s.id), nil)}
		for _, kind := range []byte{keyRecord, keyMark} {
			prefix := idKey(kind, s.id)
			errs = append(errs, b.DeleteRange(prefix, prefixEnd(prefix), nil))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return fmt.Errorf("remove stream %s: %w", name, err)
	}
	delete(l.streams, name)
	return nil
}

// MarkSet are marks of one stream. A nil value deletes the mark.
type MarkSet struct {
	Stream *Stream
	Marks  []Mark
}

// Mark is a small value that belongs to a stream.
type Mark struct{ Key, Value []byte }

// SetMarks writes all marks or none, durably.
func (l *Log) SetMarks(ctx context.Context, sets ...MarkSet) error {
	return l.commit.do(ctx, func(b *pebble.Batch) error {
		for _, set := range sets {
			if set.Stream.removed.Load() {
				continue
			}
			for _, m := range set.Marks {
				key := markKey(set.Stream.id, m.Key)
				var err error
				if m.Value == nil {
					err = b.Delete(key, nil)
				} else {
					err = b.Set(key, m.Value, nil)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// startReading takes the lock reading.
func (l *Log) startReading() error {
	l.reading.RLock()
	if l.released {
		l.reading.RUnlock()
		return ErrClosed
	}
	return nil
}

// flushAtClose bounds the time in which Close moves records to their place.
const flushAtClose = 5 * time.Second

// Close finishes the writes that were taken and closes the log. Closing twice
// is legal.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.commit.close()
	if l.commit.failure() == nil {
		// Not for durability: the end of a write-ahead file that was damaged later
		// looks like one that a power cut has torn off, a table's does not.
		ctx, cancel := context.WithTimeout(context.Background(), flushAtClose)
		_ = l.flush(ctx, l.watch.full) // the next Open does it
		cancel()
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	l.released = true
	return errors.Join(l.db.Close(), l.lock.Close())
}
