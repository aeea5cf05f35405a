package embedded

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
)

// Close waits for the keeper (invariant 10), here while it looks at the clock.
func TestCloseWaitsForTheKeeper(t *testing.T) {
	var armed atomic.Bool
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	e, err := Open("data", Options{FS: vfs.NewMem(), CheckpointEvery: time.Millisecond, Now: func() time.Time {
		if armed.Swap(false) {
			asked <- struct{}{}
			<-answer
		}
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "s", Retention: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), engine.Payload{}); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Fatal("the keeper does not look whether the record may go")
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	select {
	case <-closed:
		close(answer)
		t.Fatal("Close returns while the keeper is at work")
	case <-time.After(20 * time.Millisecond):
	}
	close(answer)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}
