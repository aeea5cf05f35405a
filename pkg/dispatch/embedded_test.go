package dispatch

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/routing"
)

// flaky refuses each event once with 503, and every tenth with 400 then.
type flaky struct {
	mu   sync.Mutex
	seen map[string]int
}

func (f *flaky) Send(_ context.Context, to *routing.Destination, e *cloudevent.Event, _ deliver.SendOptions) deliver.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[to.URL+e.ID()]++
	switch {
	case f.seen[to.URL+e.ID()] == 1:
		return deliver.Outcome{Status: http.StatusServiceUnavailable}
	case e.ID()[len(e.ID())-1] == '0':
		return deliver.Outcome{Status: http.StatusBadRequest}
	}
	return deliver.Outcome{Status: http.StatusAccepted}
}

// The pumps and the real engine together: everything ends, delivered or among
// the dead letters, at once and ordered.
func TestOnTheEmbeddedEngine(t *testing.T) {
	const n = 500
	e, err := embedded.Open("data", embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := e.Stream(t.Context(), engine.StreamSpec{Name: broker.String()})
	if err != nil {
		t.Fatal(err)
	}
	d := New(Options{Engine: e, Sender: &flaky{seen: map[string]int{}}})
	fast := func(r *routing.Route) {
		r.Delivery.Retry, r.Delivery.BackoffDelay = 3, time.Millisecond
		r.Subscriber.URL = "http://" + r.ID
	}
	table := tableOf(true, trigger("a", fast), trigger("ordered", fast, func(r *routing.Route) { r.Ordered = true }))
	if err := d.Apply(t.Context(), table, map[routing.StreamName]engine.Stream{broker: s}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		ev := event(fmt.Sprint(i))
		ev.Set("partitionkey", fmt.Sprint(i%20))
		if _, err := s.Append(t.Context(), payload(&ev)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"a", "ordered"} {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			state, _ := d.Route(t.Context(), broker, id)
			if state.Consumer.Lag == 0 {
				c := state.Counters
				if c.Delivered != n-n/10 || c.DeadLettered != n/10 || state.DeadLetters != n/10 || c.Retried != n {
					t.Errorf("%s: %d dead letters, counters are %+v", id, state.DeadLetters, c)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not end: %+v", id, state)
			}
		}
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
