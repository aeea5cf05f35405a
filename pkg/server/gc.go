package server

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// TuneGC lets garbage grow to five times of what is in use, as long as Go's
// heap stays below soft bytes: what is in use is little and the hot path makes
// garbage fast. Where that leaves little room, as thousands of connections or
// large events are in use, the heap may grow to half as much again as is in use:
// collected more often, it would cost more than the work itself. GOMEMLIMIT
// prevails over soft, and GOGC over all of it. stop ends it.
func TuneGC(soft int64) (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	debug.SetGCPercent(400)
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	debug.SetMemoryLimit(soft)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		followUse(soft, end)
	}()
	return func() {
		close(end)
		<-ended
	}
}

// lookAtUse is how often the heap is looked at.
const lookAtUse = 500 * time.Millisecond

// followUse keeps the memory limit where limitFor wants it, until end is closed.
func followUse(soft int64, end <-chan struct{}) {
	ticker := time.NewTicker(lookAtUse)
	defer ticker.Stop()
	samples := make([]metrics.Sample, len(usage))
	for i, name := range usage {
		samples[i].Name = name
	}
	limit := soft
	for {
		select {
		case <-end:
			return
		case <-ticker.C:
		}
		metrics.Read(samples)
		var bytes [len(usage)]int64
		for i := range samples {
			bytes[i] = int64(samples[i].Value.Uint64())
		}
		want := limitFor(soft, bytes)
		if want != soft && want > limit*9/10 && want < limit*11/10 {
			continue // not worth the stop of the world
		}
		if want != limit {
			limit = want
			debug.SetMemoryLimit(limit)
		}
	}
}

// usage are the metrics of Go's memory that limitFor takes, in this order.
var usage = [...]string{
	"/gc/heap/live:bytes", "/memory/classes/total:bytes", "/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes",
}

// limitFor is soft, or what leaves room for half as much garbage as is in use,
// beside stacks and what else Go's memory limit counts.
func limitFor(soft int64, bytes [len(usage)]int64) int64 {
	live, total, objects, unused, free, released := bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]
	beside := total - objects - unused - free - released
	return max(soft, beside+live+live/2)
}
