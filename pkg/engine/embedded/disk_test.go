package embedded_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
)

// Past the limit nothing is stored, what was acknowledged stays, and when a
// consumer has settled it, events are taken again without a restart.
func TestDiskLimitIsReachedAndLeft(t *testing.T) {
	const limit = 32 << 20
	e, err := embedded.Open(t.TempDir(), embedded.Options{MaxBytes: limit, CheckpointEvery: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "broker/default/full"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Consumer(t.Context(), engine.ConsumerSpec{Name: "r", MaxInFlight: 10})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		stored := fill(t, s, 4*limit)
		state, err := s.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if kept := int(state.Head + 1 - state.First); kept != stored {
			t.Fatalf("round %d: %d events were acknowledged, %d are kept", round, stored, kept)
		}
		settle(t, c, stored)
		deadline := time.Now().Add(30 * time.Second)
		for e.Full() || e.DiskUsage() > limit/4 {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: all is settled, but %d bytes of %d are used still", round, e.DiskUsage(), limit)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func settle(t *testing.T, c engine.Consumer, n int) {
	t.Helper()
	for range n {
		d, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ack(t.Context(), d.Seq); err != nil {
			t.Fatal(err)
		}
	}
}

// A full store takes what lets deliveries settle, as far as its reserve goes.
func TestFullDiskHasAReserveForWhatSettles(t *testing.T) {
	e, err := embedded.Open(t.TempDir(), embedded.Options{MaxBytes: 8 << 20, CheckpointEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "broker/default/full", Retention: engine.KeepForever})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 16<<20)
	const size, reserve = 64 << 10, 1 << 20
	for n := range 2 * reserve / size {
		_, err := s.Append(t.Context(), engine.Payload{Data: noise(size), Settles: true})
		if errors.Is(err, engine.ErrFull) {
			if n < reserve/size-1 {
				t.Errorf("the reserve of %d bytes took %d only", reserve, n*size)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the reserve has no end")
}

// The space of what is settled comes back when nothing more is written, also on a
// disk with room enough.
func TestSpaceComesBackByItself(t *testing.T) {
	const events, size = 1024, 64 << 10
	e, err := embedded.Open("data", embedded.Options{FS: vfs.NewMem(), CheckpointEvery: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "broker/default/back"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Consumer(t.Context(), engine.ConsumerSpec{Name: "r", MaxInFlight: 10})
	if err != nil {
		t.Fatal(err)
	}
	for range events {
		if _, err := s.Append(t.Context(), engine.Payload{Data: noise(size)}); err != nil {
			t.Fatal(err)
		}
	}
	if used := e.DiskUsage(); used < events*size*9/10 {
		t.Fatalf("%d bytes of noise take %d bytes", events*size, used)
	}
	settle(t, c, events)
	for deadline := time.Now().Add(time.Minute); e.DiskUsage() > 4*size; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is kept, but %d bytes are used", e.DiskUsage())
		}
	}
}

// disk is a file system that says it has so many bytes left.
type disk struct {
	vfs.FS
	avail *atomic.Uint64
}

func (d disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.avail.Load(), TotalBytes: 64 << 20}, nil
}

// The store itself takes room below MinFree: by a restart, compactions, what it
// saves. Unless what settles deliveries is taken then too, the store stays full
// for ever: each delivery waits for room for its reply, and nothing is trimmed.
func TestWhatSettlesIsTakenBelowMinFree(t *testing.T) {
	const minFree = 8 << 20
	for _, tt := range []struct {
		avail    uint64
		settling error
	}{
		{minFree * 3 / 4, nil},
		{minFree * 3 / 8, engine.ErrFull},
	} {
		fs := disk{vfs.NewMem(), new(atomic.Uint64)}
		fs.avail.Store(tt.avail)
		e, err := embedded.Open("data", embedded.Options{FS: fs, MinFree: minFree})
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "broker/default/full"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), engine.Payload{Data: noise(1 << 10)}); !errors.Is(err, engine.ErrFull) {
			t.Errorf("%d bytes are left, %d must be: an event was answered %v", tt.avail, minFree, err)
		}
		if _, err := s.Append(t.Context(), engine.Payload{Data: noise(1 << 10), Settles: true}); !errors.Is(err, tt.settling) {
			t.Errorf("%d bytes are left: what settles a delivery was answered %v, want %v", tt.avail, err, tt.settling)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fill appends until the store is full, and returns how many events it took.
func fill(t *testing.T, s engine.Stream, atMost int) int {
	t.Helper()
	const size = 64 << 10
	for n := range atMost / size {
		_, err := s.Append(t.Context(), engine.Payload{Data: noise(size)})
		if errors.Is(err, engine.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("%d bytes were taken, and there is no end", atMost)
	return 0
}

// noise does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(time.Now().UnixNano()) | 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
