// Package embedded is the engine on our own log: eventlog for records, cursor
// for progress.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

// Options of an engine. The zero value is ready for use.
type Options struct {
	// FS is the file system, the machine's if nil.
	FS     vfs.FS
	Logger *slog.Logger
	// MaxBytes bounds the disk space of all streams together; 0 is no bound
	// besides MinFree. Past it Append answers engine.ErrFull until settled
	// events have made room; replies and dead letters have an eighth more.
	MaxBytes uint64
	// MinFree is the space that is left free on the disk; replies and dead letters
	// may use half of it. 0 is no bound.
	MinFree uint64
	// TailBytes bounds the memory for the newest events. 0 means 32 MiB.
	TailBytes int
	// CheckpointEvery is how often the progress of consumers is saved; it bounds
	// what is delivered twice after a crash. 0 means 100 ms.
	CheckpointEvery time.Duration
	// Fatal is called when the store cannot go on and must not return. Nil
	// panics.
	Fatal func(msg string)
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// OnSync is told of each sync of the log.
	OnSync func(seconds float64, bytes int)
}

// Engine keeps streams in one folder. It implements engine.Engine.
type Engine struct {
	log   *eventlog.Log
	dir   string
	opts  Options
	clock clock
	disk  disk
	// added are the bytes of records since the keeper's last round, and heavy
	// holds a token when they make another one due.
	added atomic.Int64
	heavy chan struct{}

	mu      sync.Mutex
	streams map[string]*stream
	closed  bool

	// saving is held while progress is collected and written, and while a
	// consumer or stream is removed, so that nothing is written after its
	// removal.
	saving sync.Mutex

	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ engine.Engine = (*Engine)(nil)

// Open opens the engine in dir, and makes it where there is none. The errors
// engine.ErrLocked and engine.ErrFormat say that the folder was not touched.
func Open(dir string, opts Options) (*Engine, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.CheckpointEvery <= 0 {
		opts.CheckpointEvery = 100 * time.Millisecond
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	log, err := eventlog.Open(dir, eventlog.Options{
		FS: opts.FS, Logger: opts.Logger, TailBytes: opts.TailBytes, Fatal: opts.Fatal, OnSync: opts.OnSync,
	})
	if err != nil {
		return nil, translate(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Engine{
		log: log, dir: dir, opts: opts, clock: newClock(opts.Now),
		streams: map[string]*stream{}, stop: stop,
	}
	e.heavy = make(chan struct{}, 1)
	e.disk.reserve = reserveOf(opts)
	e.disk.reclaim = make(chan struct{}, 1)
	e.disk.freed.Store(true)
	e.checkDisk()
	e.running.Go(func() { e.keep(ctx) })
	e.running.Go(func() { e.reclaimer(ctx) })
	return e, nil
}

// translate gives the log's errors the engine's names, and leaves their texts.
func translate(err error) error {
	switch {
	case errors.Is(err, eventlog.ErrClosed):
		return named{err, engine.ErrClosed}
	case errors.Is(err, eventlog.ErrLocked):
		return named{err, engine.ErrLocked}
	case errors.Is(err, eventlog.ErrFormat):
		return named{err, engine.ErrFormat}
	}
	return err
}

// named is an error that is another one as well.
type named struct {
	error
	name error
}

func (n named) Is(target error) bool { return target == n.name }
func (n named) Unwrap() error        { return n.error }

// Stream implements engine.Engine.
func (e *Engine) Stream(ctx context.Context, spec engine.StreamSpec) (engine.Stream, error) {
	if spec.Name == "" || strings.ContainsRune(spec.Name, 0) {
		return nil, fmt.Errorf("stream name %q: must not be empty nor hold a zero byte", spec.Name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, engine.ErrClosed
	}
	if s := e.streams[spec.Name]; s != nil {
		if spec.Retention != engine.KeepAsIs {
			s.retention.Store(int64(spec.Retention))
		}
		return s, nil
	}
	if spec.Retention == engine.KeepAsIs {
		if !e.log.Has(spec.Name) {
			return nil, fmt.Errorf("%w: %s", engine.ErrNoStream, spec.Name)
		}
		spec.Retention = engine.KeepForever
	}
	log, err := e.log.Stream(ctx, spec.Name)
	if err != nil {
		return nil, translate(err)
	}
	s, err := openStream(ctx, e, log)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", spec.Name, err)
	}
	s.retention.Store(int64(spec.Retention))
	e.streams[spec.Name] = s
	return s, nil
}

// Streams implements engine.Engine.
func (e *Engine) Streams(context.Context) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, engine.ErrClosed
	}
	return e.log.Streams(), nil
}

// Remove implements engine.Engine.
func (e *Engine) Remove(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx) // all of what follows, or nothing
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return engine.ErrClosed
	}
	if s := e.streams[name]; s != nil {
		s.close()
		delete(e.streams, name)
	}
	e.disk.freed.Store(true)
	return translate(e.log.Remove(ctx, name))
}

// Close saves the progress of all consumers and closes the log. Closing twice
// is legal.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.running.Wait()
	e.closeStreams()
	err := e.save(context.Background())
	return errors.Join(err, e.log.Close())
}

func (e *Engine) closeStreams() {
	e.saving.Lock()
	defer e.saving.Unlock()
	for _, s := range e.openStreams() {
		s.close()
	}
}

func (e *Engine) openStreams() []*stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	streams := make([]*stream, 0, len(e.streams))
	for _, s := range e.streams {
		streams = append(streams, s)
	}
	return streams
}

// Full says whether Append answers engine.ErrFull at present.
func (e *Engine) Full() bool { return e.disk.full() }

// DiskUsage is the number of bytes the engine takes on disk, about.
func (e *Engine) DiskUsage() uint64 { return e.log.DiskUsage() }

// clock is monotonic: retries neither freeze nor storm when the wall clock
// jumps.
type clock struct {
	start time.Time
	wall  func() time.Time
}

func newClock(wall func() time.Time) clock { return clock{time.Now(), wall} }

func (c clock) now() int64 { return int64(time.Since(c.start)) }
