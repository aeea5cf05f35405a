package eventlog

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleOptions tunes the store for a log: most records are trimmed while they
// are still in a memtable, and what stays is written once and read in order.
func pebbleOptions(opts Options, fs vfs.FS, lock *pebble.Lock, damages *damages) *pebble.Options {
	o := &pebble.Options{
		FS:                          fs,
		Lock:                        lock,
		Logger:                      pebbleLogger{opts.Logger, opts.Fatal},
		EventListener:               &pebble.EventListener{DataCorruption: damages.report, BackgroundError: damages.inBackground},
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   32 << 20,
		MemTableSize:                opts.memTable,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       12,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               256 << 20,
		MaxOpenFiles:                512,
		DisableTableStats:           false,
	}
	o.Experimental.SpanPolicyFunc = oneKindPerTable
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return o
}

// oneKindPerTable has tables end where another kind of keys begins. Marks and
// trims change all the time and lie on either side of the records: a table with
// all of them overlaps every other one, and would be merged with it. Those with
// records of one time alone overlap none.
func oneKindPerTable(start []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	return pebble.SpanPolicy{}, []byte{start[0] + 1}, nil
}

// openStore opens a store, and flushes one that is new, so that it begins another
// write-ahead file. Pebble begins the first one before the store has the format in
// which each chunk says how far the file was synced; where such a file is torn
// just before the end of a block, Pebble leaves out the torn record and takes those
// behind it.
func openStore(store string, o *pebble.Options, watch *watchFS) (*pebble.DB, error) {
	isNew, err := verify(o.FS, store)
	if err != nil {
		return nil, err
	}
	db, err := pebble.Open(store, o)
	if err == nil && isNew {
		if err = db.Flush(); err != nil {
			err = errors.Join(err, db.Close())
		}
	}
	switch {
	case pebble.IsCorruptionError(err):
		err = fmt.Errorf("%w: %s: %s", ErrDamaged, watch.lastRead(), detail(err))
	case err != nil:
		err = fmt.Errorf("%w (the file read last is %s)", err, watch.lastRead())
	}
	return db, err
}

// pebbleLogger passes Pebble's voice on: its chatter as debug, its end to fatal.
type pebbleLogger struct {
	log   *slog.Logger
	fatal func(string)
}

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log.Debug("store", "detail", fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("store", "detail", fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	l.fatal(msg)
	panic(msg) // Pebble does not expect to go on
}

const (
	minMemTable = 1 << 20
	maxMemTable = 16 << 20
	// memTablesPerDisk memtables fill a disk. What they hold is on disk twice
	// while it is written out, and there are up to nine write-ahead files of
	// about their size.
	memTablesPerDisk = 64
)

// memTableFor is the size of memtables on the disk of dir: the usual one unless
// the disk is small.
func memTableFor(fs vfs.FS, dir string) uint64 {
	usage, err := fs.GetDiskUsage(dir)
	if err != nil {
		return maxMemTable
	}
	return min(max(usage.TotalBytes/memTablesPerDisk, minMemTable), maxMemTable)
}
