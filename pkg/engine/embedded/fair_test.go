package embedded

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
)

// Retries that are due, and hang when they are tried, leave a quarter of the
// slots to events that were not tried before (invariant 6).
func TestRetriesLeaveSlots(t *testing.T) {
	e, err := Open("data", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx := t.Context()
	s, err := e.Stream(ctx, engine.StreamSpec{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Consumer(ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 8})
	if err != nil {
		t.Fatal(err)
	}
	add := func(n int) {
		t.Helper()
		if _, err := s.Append(ctx, make([]engine.Payload, n)...); err != nil {
			t.Fatal(err)
		}
	}
	next := func(seq engine.Seq, attempt int) {
		t.Helper()
		waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		d, err := c.Next(waiting)
		if err != nil || d.Seq != seq || d.Attempt != attempt {
			t.Fatalf("got seq %d, attempt %d, %v; want %d, %d", d.Seq, d.Attempt, err, seq, attempt)
		}
	}
	none := func() {
		t.Helper()
		waiting, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if d, err := c.Next(waiting); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got seq %d, attempt %d, %v; want none", d.Seq, d.Attempt, err)
		}
	}
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	add(8)
	for seq := engine.Seq(1); seq <= 8; seq++ {
		next(seq, 0)
	}
	for seq := engine.Seq(1); seq <= 8; seq++ {
		no(c.Retry(ctx, seq, 0))
	}
	for seq := engine.Seq(1); seq <= 6; seq++ {
		next(seq, 1)
	}
	none() // 7 and 8 are due, and two slots are free
	add(3)
	next(9, 0)
	next(10, 0)
	none()
	no(c.Ack(ctx, 9))
	next(11, 0)
	no(c.Ack(ctx, 10))
	no(c.Ack(ctx, 3))
	next(7, 1) // a slot of the retries' is free
	none()

	// A caller that waits already gets the slot as soon as it is free.
	got := make(chan engine.Delivery)
	go func() {
		d, err := c.Next(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- d
	}()
	no(c.Release(ctx, 7)) // comes back at once, in its own place
	if d := <-got; d.Seq != 7 || d.Attempt != 1 {
		t.Fatalf("got seq %d, attempt %d; want 7", d.Seq, d.Attempt)
	}
	go func() {
		d, err := c.Next(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- d
	}()
	no(c.Ack(ctx, 1))
	if d := <-got; d.Seq != 8 || d.Attempt != 1 {
		t.Fatalf("got seq %d, attempt %d; want 8", d.Seq, d.Attempt)
	}
}

// A consumer of few slots gives them all to retries: it could do nothing else.
func TestRetriesOfFewSlots(t *testing.T) {
	for slots, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 100: 75} {
		c := &consumer{spec: engine.ConsumerSpec{MaxInFlight: slots}}
		if got := c.retrySlots(); got != want {
			t.Errorf("of %d slots, retries get %d, want %d", slots, got, want)
		}
	}
}
