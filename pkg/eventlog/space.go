package eventlog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// DiskUsage is the number of bytes that the log's data takes on disk, about; 0
// when it is closed. Of the write-ahead files it counts what is in them and not
// their size, which is the same few files written over and over.
func (l *Log) DiskUsage() uint64 {
	if l.startReading() != nil {
		return 0
	}
	defer l.reading.RUnlock()
	m := l.db.Metrics()
	return m.DiskSpaceUsage() - m.WAL.ObsoletePhysicalSize - m.WAL.PhysicalSize + m.WAL.Size
}

// Unflushed is the number of bytes that are in the write-ahead files only: as
// much again is written before those files can be used anew.
func (l *Log) Unflushed() uint64 {
	if l.startReading() != nil {
		return 0
	}
	defer l.reading.RUnlock()
	return l.db.Metrics().WAL.Size
}

var errNoRoomYet = errors.New("there is no room on the disk")

// flush writes what is in the write-ahead files only to its place. It gives up
// waiting when ctx ends, or when there is something in giveUp: on a full disk
// the store goes on trying.
func (l *Log) flush(ctx context.Context, giveUp <-chan struct{}) error {
	flushed, err := l.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
		return nil
	case <-giveUp:
		return errNoRoomYet
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Reclaim gives back the disk space of what was trimmed and removed. Pebble
// does so by itself as more is written; who waits for space before writing
// more calls this. It costs about as much as writing again what lies beside.
func (l *Log) Reclaim(ctx context.Context) error {
	if err := l.startReading(); err != nil {
		return err
	}
	defer l.reading.RUnlock()
	if err := l.flush(ctx, nil); err != nil {
		return fmt.Errorf("reclaim space: %w", err)
	}
	for _, r := range l.vacant() {
		if err := l.db.Compact(ctx, r[0], r[1], false); err != nil {
			return fmt.Errorf("reclaim space: %w", err)
		}
	}
	return nil
}

// vacant are the key ranges in which no stream keeps a record.
func (l *Log) vacant() (ranges [][2][]byte) {
	l.mu.Lock()
	streams := slices.SortedFunc(maps.Values(l.streams), func(a, b *Stream) int { return cmp.Compare(a.id, b.id) })
	l.mu.Unlock()
	from := []byte{keyRecord}
	add := func(to []byte) {
		if bytes.Compare(from, to) < 0 {
			ranges = append(ranges, [2][]byte{from, to})
		}
	}
	for _, s := range streams {
		first, head := s.Bounds()
		if first > head {
			continue // nothing is kept: part of a longer range
		}
		add(recordKey(s.id, first))
		from = recordKey(s.id, head+1)
	}
	add(prefixEnd([]byte{keyRecord}))
	return ranges
}
