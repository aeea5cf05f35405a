package server

import (
	"runtime/debug"
	"testing"
	"time"
)

// The limit is soft until two thirds of it are in use, and leaves room for half as
// much garbage from there on.
func TestLimitFor(t *testing.T) {
	const soft, mib = 160 << 20, 1 << 20
	for _, tt := range []struct{ live, stacks, want int64 }{
		{10 * mib, 5 * mib, soft},
		{90 * mib, 20 * mib, soft},
		{100 * mib, 20 * mib, 170 * mib},
		{300 * mib, 100 * mib, 550 * mib},
	} {
		const unused, free, released = 3 * mib, 7 * mib, 50 * mib
		objects := tt.live + 11*mib
		total := objects + unused + free + released + tt.stacks
		if got := limitFor(soft, [...]int64{tt.live, total, objects, unused, free, released}); got != tt.want {
			t.Errorf("%d in use, %d of stacks: %d, want %d", tt.live, tt.stacks, got, tt.want)
		}
	}
}

// The limit goes up with what is in use, and comes back.
func TestMemoryLimitFollowsUse(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	const soft = 32 << 20
	stop := TuneGC(soft)
	defer stop()
	wait := func(what string, ok func(limit int64) bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(debug.SetMemoryLimit(-1)); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the limit is %d", what, debug.SetMemoryLimit(-1))
			}
		}
	}
	held := make([][]byte, 64)
	for i := range held {
		held[i] = make([]byte, 1<<20)
	}
	debug.FreeOSMemory() // collects
	wait("64 MiB are in use", func(limit int64) bool { return limit >= 96<<20 })
	for i := range held {
		held[i] = nil
	}
	debug.FreeOSMemory()
	wait("nothing is in use", func(limit int64) bool { return limit < 64<<20 })
}
