package eventlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// tablesFail lets every write of a table fail while there is an error.
type tablesFail struct {
	err   atomic.Pointer[error]
	tries atomic.Int64
}

func (f *tablesFail) set(err error) {
	if err == nil {
		f.err.Store(nil)
		return
	}
	f.err.Store(&err)
}

func (f *tablesFail) MaybeError(op errorfs.Op) error {
	if err := f.err.Load(); err != nil && isWrite(op) && strings.HasSuffix(op.Path, ".sst") {
		f.tries.Add(1)
		return *err
	}
	return nil
}

func (f *tablesFail) String() string { return "tablesFail" }

var errNoRoom error = &fs.PathError{Op: "write", Path: "a table", Err: syscall.ENOSPC}

// Records that cannot be put into their tables for want of room stay in the
// write-ahead file, and go there when there is room; it is not tried without a
// pause, and Close does not wait for it.
func TestTablesOnAFullDisk(t *testing.T) {
	const pause = 50 * time.Millisecond
	mem, inject := vfs.NewMem(), &tablesFail{}
	inject.set(errNoRoom)
	open := func() *Log {
		l, err := Open(testDir, Options{
			FS: errorfs.Wrap(mem, inject), memTable: smallTable, fullPause: pause, Fatal: func(msg string) { t.Errorf("Fatal: %s", msg) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l, begun := open(), time.Now()
	s := openStream(t, l, "s")
	for i := range 15 { // more than half a memtable: it is written out
		mustAppend(t, s, fmt.Sprint(i, strings.Repeat("x", 9000)))
	}
	eventually(t, "a table is tried again", func() bool { return inject.tries.Load() > 3 })
	if n, most := inject.tries.Load(), int64(time.Since(begun)/pause)+1; n > most {
		t.Errorf("in %v a table was written %d times, want a pause of %v", time.Since(begun), n, pause)
	}
	mustAppend(t, s, "later")
	inject.set(nil)
	eventually(t, "all is written out", func() bool { return l.Unflushed() < 20_000 })
	inject.set(errNoRoom)
	for i := range 15 {
		mustAppend(t, s, fmt.Sprint(i, strings.Repeat("x", 9000)))
	}
	closeLog(t, l)
	inject.set(nil)
	l = open()
	if _, head := openStream(t, l, "s").Bounds(); head != 31 {
		t.Errorf("31 records were acknowledged, the head is %d", head)
	}
	closeLog(t, l)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// A disk that cannot write a table for another reason is broken: the log ends
// and says so.
func TestTableThatCannotBeWritten(t *testing.T) {
	mem, inject := vfs.NewCrashableMem(), &tablesFail{}
	said := make(chan string, 1)
	l, err := Open(testDir, Options{FS: errorfs.Wrap(mem, inject), memTable: smallTable, Fatal: func(msg string) { said <- msg }})
	if err != nil {
		t.Fatal(err)
	}
	s := openStream(t, l, "s")
	inject.set(errDisk)
	acked := 0
	for err == nil {
		if _, err = s.Append(t.Context(), entries(fmt.Sprint(acked+1, strings.Repeat("x", 9000)))); err == nil {
			acked++
		}
	}
	if !errors.Is(err, ErrFailed) || !errors.Is(err, errDisk) {
		t.Errorf("Append says %v, want ErrFailed with its cause", err)
	}
	if msg := <-said; !strings.Contains(msg, errDisk.Error()) || !strings.Contains(msg, ".sst") {
		t.Errorf("Fatal was told %q, want the file and the cause", msg)
	}
	image := mem.CrashClone(vfs.CrashCloneCfg{})
	inject.set(nil)
	_ = l.Close() // its error is the disk's
	if _, head := openStream(t, openLog(t, image), "s").Bounds(); head < uint64(acked) {
		t.Errorf("%d records were acknowledged, the head is %d", acked, head)
	}
}

// A log that was not written out and is opened on a disk without room ends and
// says so, and does not wait for ever.
func TestOpenOnAFullDisk(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(openFull(dir))
	}
	dir := t.TempDir()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, openStream(t, l, "s"), "a")
	crashed := t.TempDir()
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	if code, out := child(t, "TestOpenOnAFullDisk", crashed); code != 7 || !strings.Contains(out, syscall.ENOSPC.Error()) || !strings.Contains(out, crashed) {
		t.Errorf("the process ends with %d:\n%s", code, out)
	}
	if l, err = Open(crashed, Options{}); err != nil {
		t.Fatal(err)
	}
	wantStream(t, openStream(t, l, "s"), "1..1: 1=a")
	closeLog(t, l)
}

func openFull(dir string) int {
	inject := &tablesFail{}
	inject.set(errNoRoom)
	_, err := Open(dir, Options{
		FS: errorfs.Wrap(vfs.Default, inject), Fatal: func(msg string) { fmt.Println(msg); os.Exit(7) },
	})
	fmt.Println("opened:", err)
	return 1
}
