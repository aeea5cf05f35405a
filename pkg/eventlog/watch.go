package eventlog

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchFS stands between Pebble and the file system, for three reasons.
//
// It reports the errors that Pebble does not survive: of its write-ahead
// log, its manifest and the entries of its folder. Pebble answers some of them
// with a panic while it holds no lock that it will unlock, which ends the
// process with "unlock of unlocked mutex" and no word about the disk. So the
// first one to hear of such an error must be us.
//
// A table that cannot be written Pebble writes again, at once and for ever, with
// what it holds in the write-ahead log until then. That is right where the disk
// is full, but not without a pause; it is wrong where the disk is broken, or
// where the log is being opened and nobody can make room by settling events.
//
// And Pebble moves its marker to a new manifest and syncs the folder once for
// both. After a power cut a file system that does not keep the order of entries
// could hold the marker without the manifest, and the store would not open any
// more. So a new manifest's entry is synced before anybody points at it.
type watchFS struct {
	vfs.FS
	opts   Options
	report atomic.Pointer[func(error)] // nil while the store is opened: then Open returns the error
	// full gets a token when there is no room for a table.
	full chan struct{}
	// told is when a full disk was last logged, in nanoseconds.
	told atomic.Int64
	// read is the file that was last opened to be read.
	read atomic.Pointer[string]
}

func newWatchFS(opts Options) *watchFS {
	return &watchFS{FS: opts.FS, opts: opts, full: make(chan struct{}, 1)}
}

// fullAgain is how often it is said that the disk is full.
const fullAgain = time.Minute

func (w *watchFS) failed(what, path string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s: %w", what, path, err)
	report := w.report.Load()
	switch {
	case !w.table(path):
		if report != nil {
			(*report)(err)
		}
	case report == nil:
		w.opts.Fatal(err.Error() + "; the events are safe, start again when the disk has room and is well")
	case errors.Is(err, syscall.ENOSPC):
		w.waitForRoom(err)
	default:
		(*report)(err)
	}
	return err
}

// waitForRoom lets time pass before Pebble writes the table again.
func (w *watchFS) waitForRoom(err error) {
	now := time.Now().UnixNano()
	if told := w.told.Load(); now-told > int64(fullAgain) && w.told.CompareAndSwap(told, now) {
		w.opts.Logger.Error("the disk is full; events are safe, and are written to their place when there is room", "error", err)
	}
	select {
	case w.full <- struct{}{}:
	default:
	}
	time.Sleep(w.opts.fullPause)
}

func (w *watchFS) table(path string) bool {
	return strings.HasSuffix(path, ".sst") || strings.HasSuffix(path, ".blob")
}

func (w *watchFS) vital(path string) bool {
	base := w.PathBase(path)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST") || w.table(base)
}

func (w *watchFS) watch(path string, f vfs.File, err error) (vfs.File, error) {
	if !w.vital(path) {
		return f, err
	}
	if err != nil {
		return nil, w.failed("create", path, err)
	}
	return &watchFile{f, w, path}, nil
}

// lastRead is the file in which the damage is that opening the store came upon:
// Pebble's errors do not say it of all files.
func (w *watchFS) lastRead() string {
	if path := w.read.Load(); path != nil {
		return *path
	}
	return "no file"
}

// Open implements vfs.FS.
func (w *watchFS) Open(path string, opts ...vfs.OpenOption) (vfs.File, error) {
	if w.report.Load() == nil {
		w.read.Store(&path)
	}
	return w.FS.Open(path, opts...)
}

// Create implements vfs.FS.
func (w *watchFS) Create(path string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(path, c)
	if err == nil && strings.HasPrefix(w.PathBase(path), "MANIFEST") {
		if err = syncDir(w.FS, w.PathDir(path)); err != nil {
			_ = f.Close() // it is empty
		}
	}
	return w.watch(path, f, err)
}

// ReuseForWrite implements vfs.FS.
func (w *watchFS) ReuseForWrite(oldPath, path string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(oldPath, path, c)
	return w.watch(path, f, err)
}

// OpenDir implements vfs.FS.
func (w *watchFS) OpenDir(path string) (vfs.File, error) {
	f, err := w.FS.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &watchFile{f, w, path}, nil
}

type watchFile struct {
	vfs.File
	fs   *watchFS
	path string
}

// Write implements vfs.File.
func (f *watchFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.fs.failed("write", f.path, err)
}

// Sync implements vfs.File.
func (f *watchFile) Sync() error { return f.fs.failed("sync", f.path, f.File.Sync()) }

// SyncData implements vfs.File.
func (f *watchFile) SyncData() error { return f.fs.failed("sync", f.path, f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f *watchFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.fs.failed("sync", f.path, err)
}
