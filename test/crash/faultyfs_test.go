package crash

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// syncFault is how a file system lies about the syncs of the write-ahead log.
type syncFault int

const (
	honest syncFault = iota
	// syncLeftOut syncs nothing and says that it did: to the rest of the program
	// that is the same as not asking for it.
	syncLeftOut
	// syncTooLate says so before it syncs, just ahead of the next write: the head
	// moves, and the 202 leaves, before the event is safe.
	syncTooLate
)

// faultyFS plants the fault under an unchanged program.
type faultyFS struct {
	vfs.FS
	fault syncFault
}

func (fs faultyFS) plant(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || fs.fault == honest || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return &faultyFile{File: f, fault: fs.fault}, nil
}

// Create implements vfs.FS.
func (fs faultyFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return fs.plant(name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (fs faultyFS) ReuseForWrite(oldName, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldName, name, c)
	return fs.plant(name, f, err)
}

type faultyFile struct {
	vfs.File
	fault syncFault
	owed  bool
}

// Write implements vfs.File.
func (f *faultyFile) Write(p []byte) (int, error) {
	if f.fault == syncTooLate && f.owed {
		f.owed = false
		if err := f.File.Sync(); err != nil {
			return 0, err
		}
	}
	return f.File.Write(p)
}

// Sync implements vfs.File.
func (f *faultyFile) Sync() error { f.owed = true; return nil }

// SyncData implements vfs.File.
func (f *faultyFile) SyncData() error { return f.Sync() }

// SyncTo implements vfs.File.
func (f *faultyFile) SyncTo(int64) (bool, error) { return true, f.Sync() }
