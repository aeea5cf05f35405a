package embedded

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// tightRoom is the room below which the disk is tight in any case.
const tightRoom = 64 << 20

// reclaimPause is the least time between two reclaims: each writes to the disk.
const reclaimPause = 500 * time.Millisecond

// disk knows how much may still be appended. Between two looks at the disk it
// counts what is appended, so that a fast sender cannot run past the limit.
type disk struct {
	// room is in bytes of payloads; at or below 0 the store is full. Payloads
	// that settle something may go into the reserve below it.
	room    atomic.Int64
	reserve int64
	// cost is how many bytes of room a byte of payload takes.
	cost atomic.Int64
	// tight is whether less than a third of what the log may use is left: then the
	// disk is looked at with every tick, and what was trimmed is reclaimed. The
	// keeper's.
	tight bool
	// freed is set when something was trimmed or removed since space was last
	// reclaimed.
	freed atomic.Bool
	// told is what was last logged; the keeper's.
	told bool
	// reclaim holds a token when space is to be reclaimed.
	reclaim chan struct{}
}

// take says whether there is room for payloads of so many bytes, and takes it;
// settles is whether all of them settle something. Without the
// reserve a full store stays full: a delivery whose reply finds no room is not
// settled, and all records behind it are kept for it.
func (d *disk) take(bytes int, settles bool) bool {
	room := d.room.Load()
	if settles {
		room += d.reserve
	}
	if room <= 0 {
		return false
	}
	d.room.Add(-int64(bytes) * d.cost.Load())
	return true
}

// reserveOf is half of MinFree or an eighth of MaxBytes, the smaller if both are
// set. Start and restart, compaction and saved progress take their room from
// MinFree too, and must leave some of the reserve.
func reserveOf(o Options) int64 {
	switch {
	case o.MaxBytes == 0:
		return int64(o.MinFree / 2)
	case o.MinFree == 0:
		return int64(o.MaxBytes / 8)
	}
	return int64(min(o.MaxBytes/8, o.MinFree/2))
}

func (d *disk) full() bool { return d.room.Load() <= 0 }

// checkDisk looks at how much room there is. When there is little, the space of
// what was trimmed is reclaimed: the store would do so only with the next
// writes, and there are none while it is full.
func (e *Engine) checkDisk() {
	room, cost := int64(math.MaxInt64), int64(1)
	used := int64(e.log.DiskUsage())
	if e.opts.MaxBytes > 0 {
		room = int64(e.opts.MaxBytes) - used
	}
	if e.opts.MinFree > 0 {
		if free, ok := e.free(); ok && free < room {
			room, cost = free, 2 // in the write-ahead file and in its place
		}
	}
	e.disk.cost.Store(cost)
	e.disk.room.Store(room)
	full := room <= 0
	e.disk.tight = room < max(tightRoom, used/2)
	if e.disk.tight {
		e.reclaim()
	}
	if full == e.disk.told {
		return
	}
	e.disk.told = full
	if full {
		e.opts.Logger.Warn("the disk limit is reached; new events are refused until settled ones have made room",
			"used", used, "maxBytes", e.opts.MaxBytes, "minFree", e.opts.MinFree)
	} else {
		e.opts.Logger.Info("there is room on the disk again; events are taken")
	}
}

// reclaim asks the reclaimer to give back what was trimmed since it was last asked.
func (e *Engine) reclaim() {
	if !e.disk.freed.Swap(false) {
		return
	}
	select {
	case e.disk.reclaim <- struct{}{}:
	default:
	}
}

// free is the free space of the disk above MinFree, and above what the log still
// has to write to put in their place the records that it has taken.
func (e *Engine) free() (int64, bool) {
	usage, err := e.opts.FS.GetDiskUsage(e.dir)
	if err != nil {
		return 0, false
	}
	return int64(usage.AvailBytes) - int64(e.opts.MinFree) - int64(e.log.Unflushed()), true
}

// reclaimer gives space back when asked to, until ctx ends, for at most half of
// the time.
func (e *Engine) reclaimer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.disk.reclaim:
		}
		began := time.Now()
		if err := e.log.Reclaim(ctx); err != nil && ctx.Err() == nil {
			e.disk.freed.Store(true)
			e.opts.Logger.Error("the space of settled events could not be reclaimed", "error", err)
		}
		rest(ctx, max(reclaimPause, time.Since(began)))
	}
}
