package dispatch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

func (w *world) consumers() []string {
	w.t.Helper()
	synctest.Wait()
	names, _ := w.streams[broker].Consumers(w.t.Context())
	return names
}

func TestApplyAndConsumers(t *testing.T) {
	unresolved := func(r *routing.Route) { r.Unresolved = "the subscriber cannot be found" }
	for _, tc := range []struct {
		name   string
		before []*routing.Route
		then   *routing.Table
		want   []string // consumers in the engine
		pumped bool     // whether a is
	}{
		{"new", nil, tableOf(true, trigger("a")), []string{"a"}, true},
		{"new and unresolved", nil, tableOf(true, trigger("a", unresolved)), nil, false},
		{"now unresolved", []*routing.Route{trigger("a")}, tableOf(true, trigger("a", unresolved)), []string{"a"}, false},
		{"gone", []*routing.Route{trigger("a"), trigger("b")}, tableOf(true, trigger("b")), []string{"b"}, false},
		{"missing", []*routing.Route{trigger("a"), trigger("b")}, tableOf(false, trigger("b")), []string{"a", "b"}, false},
		{"gone with its stream", []*routing.Route{trigger("a")}, &routing.Table{Complete: true}, []string{"a"}, false},
		{"the same", []*routing.Route{trigger("a")}, tableOf(true, trigger("a")), []string{"a"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.apply(tc.before...)
				w.applyTable(tc.then)
				if got := w.consumers(); !slices.Equal(got, tc.want) {
					t.Errorf("consumers are %v, want %v", got, tc.want)
				}
				w.publish("1")
				if got := len(w.received(subscriberURL)) > 0; tc.pumped && !got {
					t.Error("the route is not pumped")
				}
				if !tc.pumped && slices.Contains(tc.want, "a") {
					w.apply(trigger("a"))
					w.wantLag("a", 0)
					if len(w.received(subscriberURL)) == 0 {
						t.Error("the route has lost its place")
					}
				}
			})
		})
	}
}

func TestStrayConsumersGo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a"), trigger("b"), trigger("c"))
		w.close(0)
		w.restart()
		w.applyTable(tableOf(false, trigger("a")))
		if got := w.consumers(); len(got) != 3 {
			t.Errorf("an incomplete table removed consumers: %v are left", got)
		}
		w.apply(trigger("a"))
		if got := w.consumers(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("consumers are %v, want [a]", got)
		}
	})
}

// A route that goes away and comes back with its deliveries still under way
// begins anew, and does not wait for them.
func TestGoneAndBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hangs(subscriberURL, time.Hour)
		w.apply(trigger("a"))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.apply()
		w.publish("2")
		w.apply(trigger("a"))
		w.publish("3")
		w.wantIDs(subscriberURL, "1", "3")
		if took := time.Since(w.began); took != 0 {
			t.Errorf("Apply waited %v", took)
		}
	})
}

func TestGoneRouteDrains(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hangs(subscriberURL, 10*time.Second)
		w.apply(trigger("a"))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.apply()
		if got := w.consumers(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("the consumer went before its deliveries: %v are left", got)
		}
		time.Sleep(10 * time.Second)
		if got := w.consumers(); len(got) != 0 {
			t.Errorf("consumers are %v, want none", got)
		}
	})
}

// A delivery uses the route that it began with until it is settled (invariant
// 9): what fails under the old route goes to the old dead letter sink.
func TestDeliveryKeepsItsGeneration(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answer[subscriberURL] = func(ctx context.Context, _ *cloudevent.Event, _ int) deliver.Outcome {
			pause(ctx, time.Minute)
			return deliver.Outcome{Status: 400}
		}
		w.apply(trigger("a", sink))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.apply(trigger("a", func(r *routing.Route) {
			r.Subscriber.URL = "http://new.example"
			r.Delivery.DeadLetterSink = &routing.Destination{URL: "http://new-sink.example"}
		}))
		w.publish("2")
		w.wantIDs("http://new.example", "2")
		time.Sleep(time.Minute)
		w.wantIDs(sinkURL, "1")
		w.wantIDs("http://new-sink.example")
	})
}

func TestMaxInFlightChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		limit := func(n int) func(*routing.Route) { return func(r *routing.Route) { r.MaxInFlight = n } }
		w.hangs(subscriberURL, time.Hour)
		w.apply(trigger("a", limit(1)))
		w.publish("1", "2", "3", "4")
		w.wantIDs(subscriberURL, "1")
		w.apply(trigger("a", limit(3)))
		if n := len(w.received(subscriberURL)); n != 3 {
			t.Errorf("%d in flight, want 3", n)
		}
	})
}

func TestConsumerThatTheEngineClosed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a"))
		synctest.Wait()
		_ = w.streams[broker].RemoveConsumer(t.Context(), "a")
		synctest.Wait()
		w.apply(trigger("a"))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
	})
}

func TestStreamRemovedAndCreatedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a"))
		_ = w.engine.Remove(t.Context(), broker.String())
		w.streams[broker], _ = w.engine.Stream(t.Context(), engine.StreamSpec{Name: broker.String()})
		w.apply(trigger("a"))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
	})
}

// Close waits for what ends in time and gives back the rest unattempted.
func TestClose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hangs(subscriberURL, 10*time.Second)
		w.hangs("http://slow.example", time.Hour)
		slow := trigger("slow", func(r *routing.Route) { r.Subscriber.URL = "http://slow.example" })
		w.apply(trigger("a"), slow)
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.close(time.Minute)
		if took := time.Since(w.began); took != time.Minute {
			t.Errorf("Close took %v, want the minute it was given", took)
		}
		if err := w.d.Apply(t.Context(), tableOf(true), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Apply after Close: %v", err)
		}
		w.restart()
		w.answers("http://slow.example", 400) // no retries: a counted attempt would be a dead letter unsent
		w.apply(trigger("a"), slow)
		w.wantIDs(subscriberURL, "1")
		w.wantIDs("http://slow.example", "1", "1")
	})
}

// goroutines are those of this package. runtime.NumGoroutine also counts what has
// just ended, of other tests as well.
func goroutines() (n int) {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "pkg/dispatch.") {
			n++
		}
	}
	return n
}

func TestIdleRouteIsOneGoroutine(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before := goroutines()
		w.hangs(subscriberURL, time.Second)
		w.apply(trigger("a"))
		for i := range 10 {
			w.publish(fmt.Sprint(i))
		}
		if n := len(w.received(subscriberURL)); n != 10 {
			t.Errorf("%d deliveries at once, want 10", n)
		}
		time.Sleep(time.Second + linger)
		synctest.Wait()
		n := goroutines() - before
		if n != 1 {
			t.Errorf("an idle route has %d goroutines, want 1", n)
		}
	})
}

func TestFilterMistakeIsShown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a", func(r *routing.Route) { r.Filter.Filters = []routing.Expr{{CESQL: "type = "}} }))
		if s, _ := w.d.Route(t.Context(), broker, "a"); s.Problem == "" {
			t.Error("the mistake is not shown")
		}
	})
}
