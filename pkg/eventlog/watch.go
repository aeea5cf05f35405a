package eventlog

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchFS stands between Pebble and the file system, for two reasons.
//
// It reports the errors that Pebble does not survive: of its write-ahead
// log, its manifest and the entries of its folder. Pebble answers some of them
// with a panic while it holds no lock that it will unlock, which ends the
// process with "unlock of unlocked mutex" and no word about the disk. So the
// first one to hear of such an error must be us.
//
// And Pebble moves its marker to a new manifest and syncs the folder once for
// both. After a power cut a file system that does not keep the order of entries
// could hold the marker without the manifest, and the store would not open any
// more. So a new manifest's entry is synced before anybody points at it.
type watchFS struct {
	vfs.FS
	report atomic.Pointer[func(error)] // nil while the store is opened: then Open returns the error
}

func (w *watchFS) failed(what, path string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s %s: %w", what, path, err)
		if report := w.report.Load(); report != nil {
			(*report)(err)
		}
	}
	return err
}

func (w *watchFS) vital(path string) bool {
	base := w.PathBase(path)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST")
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
