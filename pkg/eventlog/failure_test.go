package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var errDisk = errors.New("the disk is broken")

func isWrite(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return true
	default:
		return false
	}
}

// failing lets the k-th write or sync fail, and once is one time only.
type failing struct {
	left atomic.Int64
	once bool
}

func (f *failing) MaybeError(op errorfs.Op) error {
	if !isWrite(op) {
		return nil
	}
	if left := f.left.Add(-1); left == 0 || left < 0 && !f.once {
		return errDisk
	}
	return nil
}

func (f *failing) String() string { return "failing" }

// After a write or sync that failed nothing is acknowledged any more, also when
// the disk seems well again, and the log says why, once.
func TestFailedWriteEndsTheLog(t *testing.T) {
	for k := int64(1); k <= 30; k++ {
		for _, once := range []bool{false, true} {
			testFailedWrite(t, k, once)
		}
	}
}

func testFailedWrite(t *testing.T, k int64, once bool) {
	mem := vfs.NewCrashableMem()
	inject := &failing{once: once}
	inject.left.Store(1 << 40)
	var said []string
	l, err := Open(testDir, Options{FS: errorfs.Wrap(mem, inject), Fatal: func(msg string) { said = append(said, msg) }})
	if err != nil {
		t.Fatal(err)
	}
	s := openStream(t, l, "s")
	var mu sync.Mutex
	acked := map[uint64]string{}
	inject.left.Store(k)
	var all sync.WaitGroup
	for w := range 3 {
		all.Go(func() {
			for i := range 1000 {
				text := fmt.Sprintf("%d/%d", w, i)
				seq, err := s.Append(context.Background(), entries(text))
				if err != nil {
					if !errors.Is(err, ErrFailed) {
						t.Errorf("k=%d: Append says %v, want ErrFailed", k, err)
					}
					return
				}
				mu.Lock()
				acked[seq] = text
				mu.Unlock()
			}
			t.Errorf("k=%d: events are acknowledged as if nothing had failed", k)
		})
	}
	all.Wait()
	for range 3 {
		if _, err := s.Append(context.Background(), entries("late")); !errors.Is(err, ErrFailed) || !errors.Is(err, errDisk) {
			t.Errorf("k=%d: a later Append says %v, want ErrFailed with its cause", k, err)
		}
	}
	if err := s.Trim(context.Background(), 1<<60); len(acked) > 0 && !errors.Is(err, ErrFailed) {
		t.Errorf("k=%d: a later Trim says %v, want ErrFailed", k, err)
	}
	if _, head := s.Bounds(); head != uint64(len(acked)) {
		t.Errorf("k=%d: the head is %d, acknowledged were %d", k, head, len(acked))
	}
	image := mem.CrashClone(vfs.CrashCloneCfg{})
	_ = l.Close() // its error is the disk's
	if len(said) != 1 || !strings.Contains(said[0], errDisk.Error()) {
		t.Errorf("k=%d: Fatal was told %q, want the cause once", k, said)
	}
	l = openLog(t, image)
	s = openStream(t, l, "s")
	for seq, text := range acked {
		got, err := s.Read(nil, seq, 1, 1)
		if err != nil || len(got) != 1 || got[0].Seq != seq || string(got[0].Data) != text {
			t.Errorf("k=%d: acknowledged seq %d %q reads as %v, %v", k, seq, text, got, err)
		}
	}
	closeLog(t, l)
}

// child runs the test again in a process of its own.
func child(t *testing.T, test, how string) (code int, out string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+test+"$")
	cmd.Env = append(os.Environ(), childEnv+"="+how)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

const childEnv = "LEAT_TEST_CHILD"

// Pebble meets a failed sync again when it goes on to its next file, and dies
// of an unlocked mutex there. The process must have spoken before.
func TestProcessSaysWhyItEnds(t *testing.T) {
	if how := os.Getenv(childEnv); how != "" {
		os.Exit(failingProcess(how))
	}
	for how, wantCode := range map[string]int{"exit": 7, "default": 2} {
		code, out := child(t, "TestProcessSaysWhyItEnds", how)
		if code != wantCode {
			t.Errorf("%s: the process ends with %d, want %d:\n%s", how, code, wantCode, out)
		}
		if want := "the event log cannot go on: "; !strings.Contains(out, want) || !strings.Contains(out, errDisk.Error()) {
			t.Errorf("%s: the process does not say %q and the cause:\n%s", how, want, out)
		}
	}
}

func failingProcess(how string) int {
	inject := &failing{}
	inject.left.Store(1 << 40)
	opts := Options{FS: errorfs.Wrap(vfs.NewMem(), inject)}
	if how == "exit" {
		opts.Fatal = func(msg string) { fmt.Println(msg); os.Exit(7) }
	}
	l, err := Open(testDir, opts)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s, err := l.Stream(context.Background(), "s")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	inject.left.Store(10)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for err := error(nil); err == nil; {
				_, err = s.Append(context.Background(), entries(strings.Repeat("x", 100_000)))
			}
		})
	}
	all.Wait()
	select {} // Fatal ends it
}

// A disk that fails while a folder is opened is said, and the folder opens when
// the disk is well.
func TestOpenWithFailingDisk(t *testing.T) {
	if how := os.Getenv(childEnv); how != "" {
		k, dir, _ := strings.Cut(how, " ")
		os.Exit(openFailing(k, dir))
	}
	dir := t.TempDir()
	open := func() *Log {
		l, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	mustAppend(t, openStream(t, l, "s"), "a")
	closeLog(t, l)
	for k := range 20 {
		code, out := child(t, "TestOpenWithFailingDisk", fmt.Sprintf("%d %s", k+1, dir))
		if code != 0 && !strings.Contains(out, errDisk.Error()) {
			t.Errorf("k=%d: the process ends with %d and does not say why:\n%s", k+1, code, out)
		}
		l := open()
		wantStream(t, openStream(t, l, "s"), "1..1: 1=a")
		closeLog(t, l)
	}
}

func openFailing(k, dir string) int {
	n, err := strconv.ParseInt(k, 10, 64)
	if err != nil {
		panic(err)
	}
	inject := &failing{once: true}
	inject.left.Store(n)
	l, err := Open(dir, Options{FS: errorfs.Wrap(vfs.Default, inject), Fatal: func(msg string) { fmt.Println(msg); os.Exit(7) }})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
