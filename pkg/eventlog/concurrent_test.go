package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// gateFS holds up syncs while it is shut.
type gateFS struct {
	vfs.FS
	shut    chan struct{} // receive to go through
	waiting chan struct{} // gets a token when a sync is held up
	on      atomic.Bool
}

func newGateFS(under vfs.FS) *gateFS {
	g := &gateFS{shut: make(chan struct{}), waiting: make(chan struct{}, 100)}
	g.FS = errorfs.Wrap(under, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if g.on.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			g.waiting <- struct{}{}
			<-g.shut
		}
		return nil
	}))
	return g
}

func (g *gateFS) open() { g.on.Store(false); close(g.shut) }

// held waits until a sync is held up.
func (g *gateFS) held(t *testing.T) {
	t.Helper()
	select {
	case <-g.waiting:
	case <-time.After(10 * time.Second):
		g.open()
		t.Fatal("nothing is synced")
	}
}

func TestConcurrentAppendsGetSeqsWithoutGaps(t *testing.T) {
	fs := vfs.NewMem()
	l := openLog(t, fs)
	streams := []*Stream{openStream(t, l, "a"), openStream(t, l, "b")}
	var mu sync.Mutex
	want := map[string]string{}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 50 {
				s := streams[(w+i)%2]
				texts := []string{fmt.Sprintf("%d/%d", w, i), fmt.Sprintf("%d/%d+", w, i)}[:1+i%2]
				first, err := s.Append(context.Background(), entries(texts...))
				if err != nil {
					t.Error(err)
					return
				}
				if _, head := s.Bounds(); head < first {
					t.Errorf("seq %d acknowledged at head %d", first, head)
				}
				mu.Lock()
				for j, text := range texts {
					want[fmt.Sprintf("%s %d", s.Name(), first+uint64(j))] = text
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for range 2 {
		n := 0
		for _, s := range streams {
			records, err := s.Read(nil, 1, 10_000, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range records {
				if r.Seq != uint64(i)+1 {
					t.Fatalf("stream %s has seq %d at place %d", s.Name(), r.Seq, i+1)
				}
				if got := want[fmt.Sprintf("%s %d", s.Name(), r.Seq)]; got != string(r.Data) {
					t.Errorf("stream %s seq %d is %q, acknowledged was %q", s.Name(), r.Seq, r.Data, got)
				}
				n++
			}
		}
		if n != len(want) {
			t.Errorf("%d records, want %d", n, len(want))
		}
		closeLog(t, l)
		l = openLog(t, fs)
		streams = []*Stream{openStream(t, l, "a"), openStream(t, l, "b")}
	}
}

// While a record is not synced nobody reads it, though Pebble has it already.
func TestNothingIsReadBeforeItsSync(t *testing.T) {
	fs := newGateFS(vfs.NewMem())
	l := openLog(t, fs)
	s := openStream(t, l, "s")
	unansweredUntilSynced(t, fs, func() error {
		_, err := s.Append(context.Background(), entries("a"))
		return err
	}, func() { wantStream(t, s, "1..0:") })
	wantStream(t, s, "1..1: 1=a")
}

func TestStreamIsMadeByItsSync(t *testing.T) {
	fs := newGateFS(vfs.NewMem())
	l := openLog(t, fs)
	unansweredUntilSynced(t, fs, func() error {
		_, err := l.Stream(context.Background(), "s")
		return err
	}, func() {})
}

// unansweredUntilSynced holds up the sync of a write, which must not be answered
// meanwhile.
func unansweredUntilSynced(t *testing.T, fs *gateFS, write func() error, meanwhile func()) {
	t.Helper()
	fs.on.Store(true)
	answer := make(chan error, 1)
	go func() { answer <- write() }()
	fs.held(t)
	select {
	case <-answer:
		fs.open()
		t.Fatal("acknowledged before the sync")
	case <-time.After(20 * time.Millisecond):
	}
	meanwhile()
	fs.open()
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
}

func TestAppendReturnsWhenItsContextEnds(t *testing.T) {
	fs := newGateFS(vfs.NewMem())
	l := openLog(t, fs)
	s := openStream(t, l, "s")
	fs.on.Store(true)
	why := errors.New("the client went away")
	ctx, cancel := context.WithCancelCause(context.Background())
	answer := make(chan error)
	for _, text := range []string{"a", "b"} { // one is being synced, one waits behind it
		go func() {
			_, err := s.Append(ctx, entries(text))
			answer <- err
		}()
	}
	fs.held(t)
	cancel(why)
	for range 2 {
		if err := <-answer; !errors.Is(err, why) {
			t.Errorf("Append answers %v, want the cause", err)
		}
	}
	fs.open()
	// Whether they are stored is unknown, but later appends are not mixed up.
	first := mustAppend(t, s, "c")
	records, err := s.Read(nil, first, 1, 1)
	if err != nil || len(records) != 1 || string(records[0].Data) != "c" {
		t.Errorf("seq %d reads as %v, %v", first, records, err)
	}
}

// A removal whose caller has gone is made in full: neither a stream that
// answers ErrClosed for ever nor one that is back after a restart.
func TestRemoveIsNotLeftHalfDone(t *testing.T) {
	fs := newGateFS(vfs.NewMem())
	l := openLog(t, fs)
	mustAppend(t, openStream(t, l, "s"), "a")
	fs.on.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error)
	go func() { answer <- l.Remove(ctx, "s") }()
	fs.held(t)
	cancel()
	fs.open()
	<-answer
	s := openStream(t, l, "s")
	mustAppend(t, s, "b")
	wantStream(t, s, "1..1: 1=b")
}

// Two trims that overtake each other must not take the mark of the farther one
// back: after a restart the seqs behind it would be given again.
func TestTrimsThatOvertakeEachOther(t *testing.T) { synctest.Test(t, testTrimsThatOvertake) }

func testTrimsThatOvertake(t *testing.T) {
	fs := vfs.NewMem()
	gate := newGateFS(fs)
	l, err := Open(testDir, Options{FS: gate})
	if err != nil {
		t.Fatal(err)
	}
	s := openStream(t, l, "s")
	mustAppend(t, s, "a", "b", "c", "d")
	gate.on.Store(true)
	var all sync.WaitGroup
	all.Go(func() {
		if err := l.SetMarks(context.Background(), MarkSet{s, []Mark{mark("hold", "up")}}); err != nil {
			t.Error(err)
		}
	})
	<-gate.waiting
	// Both see first = 1; the farther one is written first.
	for _, seq := range []uint64{5, 3} {
		all.Go(func() {
			if err := s.Trim(context.Background(), seq); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // it is queued or written
	}
	gate.open()
	all.Wait()
	wantStream(t, s, "5..4:")
	closeLog(t, l)
	l = openLog(t, fs)
	s = openStream(t, l, "s")
	wantStream(t, s, "5..4:")
	if first := mustAppend(t, s, "e"); first != 5 {
		t.Errorf("invariant 3: the next record has seq %d, want 5", first)
	}
}

func TestCloseWhileAppending(t *testing.T) {
	for range 20 {
		fs := vfs.NewCrashableMem()
		l := openLog(t, fs)
		s := openStream(t, l, "s")
		var mu sync.Mutex
		acked := map[uint64]string{}
		var all sync.WaitGroup
		begun := make(chan struct{}, 100)
		for w := range 4 {
			all.Go(func() {
				for i := 0; ; i++ {
					text := fmt.Sprintf("%d/%d", w, i)
					seq, err := s.Append(context.Background(), entries(text))
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("while closing: %v", err)
						return
					}
					mu.Lock()
					acked[seq] = text
					mu.Unlock()
					if i == 3 {
						begun <- struct{}{}
					}
					_, err = s.readStored(nil, 1, seq, 10, 1000)
					if err != nil && !errors.Is(err, ErrClosed) {
						t.Errorf("read while closing: %v", err)
					}
				}
			})
		}
		for range 4 {
			<-begun
		}
		closeLog(t, l)
		all.Wait()
		l = openLog(t, fs.CrashClone(vfs.CrashCloneCfg{}))
		s = openStream(t, l, "s")
		for seq, text := range acked {
			got, err := s.Read(nil, seq, 1, 1)
			if err != nil || len(got) != 1 || got[0].Seq != seq || string(got[0].Data) != text {
				t.Errorf("acknowledged seq %d %q reads as %v, %v", seq, text, got, err)
			}
		}
	}
}

func TestEverythingAfterClose(t *testing.T) {
	l, err := Open(testDir, Options{FS: vfs.NewMem(), TailBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s := openStream(t, l, "s")
	mustAppend(t, s, "a", "b")
	for range 2 {
		closeLog(t, l)
	}
	_, readErr := s.Read(nil, 1, 10, 10)
	_, appendErr := s.Append(ctx, entries("c"))
	_, streamErr := l.Stream(ctx, "s")
	for what, err := range map[string]error{
		"Read": readErr, "Append": appendErr, "Stream": streamErr,
		"Trim":     s.Trim(ctx, 2),
		"Marks":    s.Marks(nil, func(_, _ []byte) error { return nil }),
		"Remove":   l.Remove(ctx, "s"),
		"SetMarks": l.SetMarks(ctx, MarkSet{s, []Mark{mark("m", "1")}}),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", what, err)
		}
	}
	if got := l.DiskUsage(); got != 0 {
		t.Errorf("a closed log uses %d bytes", got)
	}
}

func TestContextThatEndedBefore(t *testing.T) {
	l := openLog(t, vfs.NewMem())
	s := openStream(t, l, "s")
	mustAppend(t, s, "a", "b")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for what, err := range map[string]error{
		"Trim": s.Trim(ctx, 2), "Remove": l.Remove(ctx, "s"),
		"SetMarks": l.SetMarks(ctx, MarkSet{s, []Mark{mark("m", "1")}}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	wantStream(t, s, "1..2: 1=a 2=b")
	if got := marks(t, s, ""); got != "" {
		t.Errorf("marks %q", got)
	}
}

// A group in which no op has anything to write is answered as any other.
func TestEmptyGroup(t *testing.T) {
	l := openLog(t, vfs.NewMem())
	for range 3 {
		if err := l.commit.do(context.Background(), func(*pebble.Batch) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
}
