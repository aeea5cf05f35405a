package embedded

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

// A save that is under way has collected the place of before a seek. It must not
// be written after the seek's, which would be taken back by a power cut.
func TestSeekWaitsForASave(t *testing.T) {
	disk := vfs.NewCrashableMem()
	spec := engine.ConsumerSpec{Name: "c", MaxInFlight: 9}
	open := func(disk vfs.FS) (*Engine, *route) {
		e, err := Open("data", Options{FS: disk, CheckpointEvery: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "s", Retention: engine.KeepForever})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Consumer(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		return e, &route{t, s, c}
	}
	e, r := open(disk)
	r.add(make([]engine.Payload, 5)...)
	for seq := range engine.Seq(5) {
		r.next(seq+1, 0)
		r.no(r.Ack(t.Context(), seq+1))
	}

	e.saving.Lock()
	s := r.Stream.(*stream)
	collected := s.consumers["c"].changes()
	sought := make(chan error, 1)
	go func() {
		_, err := s.Seek(t.Context(), "c", 2)
		sought <- err
	}()
	select {
	case err := <-sought:
		t.Errorf("a seek does not wait for a save: %v", err)
		sought <- err
	case <-time.After(20 * time.Millisecond):
	}
	r.no(e.log.SetMarks(t.Context(), eventlog.MarkSet{Stream: s.log, Marks: collected}))
	e.saving.Unlock()
	r.no(<-sought)

	_, r = open(disk.CrashClone(vfs.CrashCloneCfg{}))
	for seq := engine.Seq(2); seq <= 5; seq++ {
		r.next(seq, 0)
	}
}
