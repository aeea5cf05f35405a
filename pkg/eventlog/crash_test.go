package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"leat.dev/leat/test/seeds"
)

// reuseFS renames and opens in two steps: MemFS.ReuseForWrite takes a lock twice,
// which deadlocks with a CrashClone between.
type reuseFS struct{ *vfs.MemFS }

// ReuseForWrite implements vfs.FS.
func (fs reuseFS) ReuseForWrite(oldPath, path string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.Rename(oldPath, path); err != nil {
		return nil, err
	}
	return fs.OpenReadWrite(path, c)
}

// crasher takes an image of the disk as a power cut would leave it, right
// before a write, sync or change of the folder, opens it and compares it with
// the history so far.
type crasher struct {
	disk *vfs.MemFS
	h    *history
	// share of the moments are tried.
	share float64

	mu     sync.Mutex
	rnd    *rand.Rand
	points int
	failed []error
}

func (c *crasher) String() string { return "crasher" }

// MaybeError implements errorfs.Injector: it is called before each operation.
func (c *crasher) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpRemove, errorfs.OpLink:
	default:
		if !isWrite(op) {
			return nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rnd.Float64() >= c.share || len(c.failed) > 0 {
		return nil
	}
	time.Sleep(100 * time.Microsecond) // whoever was told too early says so now
	for _, unsynced := range []int{0, 1 + c.rnd.IntN(99)} {
		acked := c.h.len()
		image := c.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: c.rnd})
		c.points++
		if err := crashed(image, c.h.slice(c.h.len()), acked, c.rnd); err != nil {
			c.failed = append(c.failed, fmt.Errorf("crash point %d before %v of %s, %d %% of what was not synced kept: %w",
				c.points, op.Kind, op.Path, unsynced, err))
		}
	}
	return nil
}

// crashed opens what a crash has left, compares it, goes on with it and lets it
// crash again.
func crashed(image *vfs.MemFS, events []event, acked int, rnd *rand.Rand) error {
	l, err := Open(testDir, Options{FS: image, memTable: smallTable})
	if err != nil {
		return fmt.Errorf("LOST: does not open: %w", err)
	}
	if err := check(l, events, acked); err != nil {
		return errors.Join(err, l.Close())
	}
	after := &history{events: before(events, acked)}
	for _, name := range streamNames {
		if err := goOn(l, after, name); err != nil {
			return errors.Join(fmt.Errorf("going on with %s: %w", name, err), l.Close())
		}
	}
	again := image.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.IntN(2) * 50, RNG: rnd})
	if err := l.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if l, err = Open(testDir, Options{FS: again, memTable: smallTable}); err != nil {
		return fmt.Errorf("LOST: does not open after a second crash: %w", err)
	}
	events, acked = after.events, len(after.events)
	return errors.Join(check(l, events, acked), l.Close())
}

// before leaves out what was acknowledged after the crash.
func before(events []event, acked int) []event {
	kept := slices.Clone(events[:acked])
	for _, e := range events[acked:] {
		if !e.acked {
			kept = append(kept, e)
		}
	}
	return kept
}

// goOn appends to a stream, and says so in the history.
func goOn(l *Log, h *history, name string) error {
	w := &worker{l: l, h: h, name: name}
	s, err := w.stream()
	if err != nil {
		return err
	}
	return w.append(s, []string{fmt.Sprintf("%s/%d after the crash at %d", name, s.id, h.len())})
}

const smallTable = 128 << 10

var streamNames = []string{"a", "b", "gone"}

// worker makes random requests of one stream and writes the history.
type worker struct {
	l    *Log
	h    *history
	rnd  *rand.Rand
	id   int
	name string
	// markFirst is a planted bug: the mark of a record before the record.
	markFirst bool

	n int
}

// stream opens the worker's stream.
func (w *worker) stream() (*Stream, error) {
	r := w.h.ask(request{kind: created, name: w.name})
	s, err := w.l.Stream(context.Background(), w.name)
	if err == nil {
		w.h.ack(r, s.id, 0)
	}
	return s, err
}

func (w *worker) append(s *Stream, texts []string) error {
	r := w.h.ask(request{kind: appended, name: w.name, life: s.id, texts: texts})
	first, err := s.Append(context.Background(), entries(texts...))
	if err == nil {
		w.h.ack(r, s.id, first)
	}
	return err
}

func (w *worker) mark(s *Stream, seq uint64) error {
	key := fmt.Sprint("w", w.id)
	r := w.h.ask(request{kind: marked, name: w.name, life: s.id, key: key, seq: seq})
	err := w.l.SetMarks(context.Background(), MarkSet{s, []Mark{{[]byte(key), binary.BigEndian.AppendUint64(nil, seq)}}})
	if err == nil && !s.removed.Load() {
		w.h.ack(r, s.id, seq)
	}
	return err
}

func (w *worker) trim(s *Stream) error {
	first, head := s.Bounds()
	seq := first + w.rnd.Uint64N(head+2-first)
	r := w.h.ask(request{kind: trimmed, name: w.name, life: s.id, seq: seq})
	err := s.Trim(context.Background(), seq)
	if err == nil {
		w.h.ack(r, s.id, seq)
	}
	return err
}

func (w *worker) remove(s *Stream) error {
	r := w.h.ask(request{kind: removed, name: w.name, life: s.id})
	err := w.l.Remove(context.Background(), w.name)
	if err == nil {
		w.h.ack(r, s.id, 0)
	}
	return err
}

// step makes one request; ErrClosed is the answer of a stream that another
// worker has removed.
func (w *worker) step() error {
	s, err := w.stream()
	if err != nil {
		return err
	}
	w.n++
	switch n := w.rnd.IntN(20); {
	case n < 2:
		err = w.trim(s)
	case n < 6:
		_, head := s.Bounds()
		if w.markFirst {
			head++
		}
		err = w.mark(s, head)
	case n == 7 && w.n%5 == 0:
		err = w.l.Reclaim(context.Background())
	case n == 6 && w.name == "gone" && w.id == 0: // only one removes, so it knows the life
		err = w.remove(s)
	default:
		texts := make([]string, 1+w.rnd.IntN(3))
		for i := range texts {
			texts[i] = fmt.Sprintf("%d/%d/%d/%d %s", s.id, w.id, w.n, i, strings.Repeat("x", w.rnd.IntN(1+w.rnd.IntN(8000))))
		}
		err = w.append(s, texts)
	}
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// crashRun lets workers go on while the disk is crashed again and again.
func crashRun(t *testing.T, seed uint64, share float64, steps int, planted fault, markFirst bool) *crasher {
	t.Helper()
	disk := vfs.NewCrashableMem()
	c := &crasher{disk: disk, h: &history{}, share: share, rnd: rand.New(rand.NewPCG(seed, 1))}
	l, err := Open(testDir, Options{FS: errorfs.Wrap(reuseFS{disk}, c), memTable: smallTable, fault: planted, TailBytes: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 6 {
		w := &worker{l: l, h: c.h, rnd: rand.New(rand.NewPCG(seed, uint64(2+i))), id: i / 3, name: streamNames[i%3], markFirst: markFirst}
		all.Go(func() {
			for range steps {
				if err := w.step(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	closeLog(t, l)
	return c
}

// TestCrash cuts the power at the moments of a random history. LEAT_CRASH=full
// tries every moment of a longer one.
func TestCrash(t *testing.T) {
	share, steps := 1.0, 100
	switch {
	case os.Getenv("LEAT_CRASH") == "full":
		share, steps = 1, 1000
	case testing.Short():
		share, steps = 0.2, 40
	}
	seeds.Each(t, func(seed uint64) {
		start := time.Now()
		c := crashRun(t, seed, share, steps, noFault, false)
		t.Logf("seed %d: %d crash points in %v, %d requests and answers", seed, c.points, time.Since(start).Round(time.Millisecond), c.h.len())
		for _, err := range c.failed {
			t.Error(err)
		}
		if c.points < 50 {
			t.Errorf("only %d crash points", c.points)
		}
	})
}

// The checker of TestCrash must find what it is there for.
func TestCrashFindsPlantedBugs(t *testing.T) {
	for _, tt := range []struct {
		name      string
		planted   fault
		markFirst bool
		want      string
	}{
		{"acknowledged without a sync", syncDropped, false, "LOST"},
		{"acknowledged before the sync", headBeforeSync, false, "LOST"},
		{"a mark before its record", noFault, true, "AHEAD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seed := rand.Uint64()
			c := crashRun(t, seed, 1, 40, tt.planted, tt.markFirst)
			if len(c.failed) == 0 {
				t.Fatalf("seed %d: %d crash points, and the bug was not found", seed, c.points)
			}
			if err := c.failed[0]; !strings.Contains(err.Error(), tt.want) {
				t.Errorf("seed %d: found %v, want %s", seed, err, tt.want)
			}
			t.Logf("found at point %d: %.200v", c.points, c.failed[0])
		})
	}
}
