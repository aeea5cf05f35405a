package embedded

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
)

// route is a consumer in a test that reads it step by step.
type route struct {
	*testing.T
	engine.Stream
	engine.Consumer
}

func openRoute(t *testing.T, spec engine.ConsumerSpec) *route {
	t.Helper()
	e, err := Open("data", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	spec.Name = "c"
	c, err := s.Consumer(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return &route{t, s, c}
}

func (r *route) no(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *route) add(payloads ...engine.Payload) {
	r.Helper()
	_, err := r.Append(r.Context(), payloads...)
	r.no(err)
}

func (r *route) next(seq engine.Seq, attempt int) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	d, err := r.Next(ctx)
	if err != nil || d.Seq != seq || d.Attempt != attempt {
		r.Fatalf("got seq %d, attempt %d, %v; want %d, %d", d.Seq, d.Attempt, err, seq, attempt)
	}
}

func (r *route) none() {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
	defer cancel()
	if d, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		r.Fatalf("got seq %d, attempt %d, %v; want none", d.Seq, d.Attempt, err)
	}
}

// waiter is a call of Next that may have to wait.
func (r *route) waiter() <-chan engine.Delivery {
	got := make(chan engine.Delivery, 1)
	go func() {
		d, err := r.Next(r.Context())
		if err != nil {
			r.Error(err)
		}
		got <- d
	}()
	return got
}

// Retries that are due, and hang when they are tried, leave a quarter of the
// slots to events that were not tried before (invariant 6).
func TestRetriesLeaveSlots(t *testing.T) {
	r, ctx := openRoute(t, engine.ConsumerSpec{MaxInFlight: 8}), t.Context()
	r.add(make([]engine.Payload, 8)...)
	for seq := engine.Seq(1); seq <= 8; seq++ {
		r.next(seq, 0)
	}
	for seq := engine.Seq(1); seq <= 8; seq++ {
		r.no(r.Retry(ctx, seq, 0))
	}
	for seq := engine.Seq(1); seq <= 6; seq++ {
		r.next(seq, 1)
	}
	r.none() // 7 and 8 are due, and two slots are free
	r.add(make([]engine.Payload, 3)...)
	r.next(9, 0)
	r.next(10, 0)
	r.none()
	r.no(r.Ack(ctx, 9))
	r.next(11, 0)
	r.no(r.Ack(ctx, 10))
	r.no(r.Ack(ctx, 3))
	r.next(7, 1) // a slot of the retries' is free
	r.none()

	// A caller that waits already gets the slot as soon as it is free.
	got := r.waiter()
	r.no(r.Release(ctx, 7)) // comes back at once, in its own place
	if d := <-got; d.Seq != 7 || d.Attempt != 1 {
		t.Fatalf("got seq %d, attempt %d; want 7", d.Seq, d.Attempt)
	}
	got = r.waiter()
	r.no(r.Ack(ctx, 1))
	if d := <-got; d.Seq != 8 || d.Attempt != 1 {
		t.Fatalf("got seq %d, attempt %d; want 8", d.Seq, d.Attempt)
	}
}

// On an ordered route an event waits for those of its key. When these are done
// it has not been tried, and does not wait behind the retries of other keys.
func TestRetriesLeaveSlotsToKeys(t *testing.T) {
	r, ctx := openRoute(t, engine.ConsumerSpec{MaxInFlight: 4, Ordered: true}), t.Context()
	for _, key := range []string{"a", "b", "c", "d", "e", "e"} {
		r.add(engine.Payload{Key: key})
	}
	for seq := engine.Seq(1); seq <= 4; seq++ {
		r.next(seq, 0)
	}
	for seq := engine.Seq(1); seq <= 4; seq++ {
		r.no(r.Retry(ctx, seq, 0))
	}
	for seq := engine.Seq(1); seq <= 3; seq++ {
		r.next(seq, 1)
	}
	r.next(5, 0)
	r.no(r.Ack(ctx, 5))
	r.next(6, 0) // 4 is due for longer
	r.no(r.Ack(ctx, 6))
	r.none()
	r.no(r.Ack(ctx, 1))
	r.next(4, 1)
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
