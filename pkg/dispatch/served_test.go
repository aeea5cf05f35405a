package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// served are the IDs of what is served, each with a ! if there is a problem.
func (w *world) served() string {
	var ids []string
	for _, s := range w.d.Served() {
		id := s.ID
		if s.Problem != "" {
			id += "!"
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func (w *world) wantServed(want string) {
	w.t.Helper()
	if got := w.served(); got != want {
		w.t.Errorf("served are %q, want %q", got, want)
	}
}

func TestServed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.wantServed("")
		mistaken := trigger("b", func(r *routing.Route) { r.Filter.Filters = []routing.Expr{{CESQL: "type = "}} })
		unresolved := trigger("c", func(r *routing.Route) { r.Unresolved = "there is no Service" })
		w.apply(trigger("a"), mistaken, unresolved)
		w.wantServed("a b!")
		if want := (Served{broker, "a", trigger("a").Fingerprint(), ""}); !slices.Contains(w.d.Served(), want) {
			t.Errorf("served are %+v, want %+v", w.d.Served(), want)
		}
		changed := trigger("a", retries(7))
		w.apply(changed)
		if want := []Served{{broker, "a", changed.Fingerprint(), ""}}; !slices.Equal(w.d.Served(), want) {
			t.Errorf("served are %+v, want %+v", w.d.Served(), want)
		}
		w.apply(trigger("a", func(r *routing.Route) { r.Unresolved = "the Service is gone" }))
		w.wantServed("")
		w.apply(trigger("a"))
		w.wantServed("a")
		_ = w.streams[broker].RemoveConsumer(t.Context(), "a")
		synctest.Wait()
		w.wantServed("")
		w.apply()
		w.wantServed("")
		w.apply(trigger("a"))
		w.close(0)
		w.wantServed("")
	})
}

// What the engine did not take is not served, and comes with the next try.
func TestServedAfterAFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		fail := errors.New("the disk is gone")
		w.engine.failConsumer = func(string) error { return fail }
		table := tableOf(true, trigger("a"))
		if err := w.d.Apply(t.Context(), table, w.streams); !errors.Is(err, fail) {
			t.Fatalf("Apply: %v", err)
		}
		w.wantServed("")
		w.engine.failConsumer = nil
		w.applyTable(table)
		w.wantServed("a")
		w.engine.failConsumer = func(string) error { return fail }
		table = tableOf(true, trigger("a", func(r *routing.Route) { r.Ordered = true }))
		if err := w.d.Apply(t.Context(), table, w.streams); !errors.Is(err, fail) {
			t.Fatalf("Apply: %v", err)
		}
		w.wantServed("")
		w.engine.failConsumer = nil
		w.applyTable(table)
		w.wantServed("a")
	})
}

// A stream is released once its deliveries have ended; nothing is stored for
// it afterwards.
func TestRelease(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answer[subscriberURL] = func(ctx context.Context, _ *cloudevent.Event, _ int) deliver.Outcome {
			pause(ctx, 5*time.Second)
			return deliver.Outcome{Status: 400} // a dead letter
		}
		w.apply(trigger("a"), trigger("b", onlyType("none")))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		if w.d.Release(broker) {
			t.Error("a stream with pumps is released")
		}
		var told, released atomic.Int32
		w.d.retired = func() {
			told.Add(1)
			if w.d.Release(broker) {
				released.Add(1)
			}
		}
		w.applyTable(&routing.Table{Complete: true})
		synctest.Wait()
		if w.d.Release(broker) || told.Load() != 1 || released.Load() != 0 {
			t.Error("a stream with a delivery is released")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if told.Load() != 2 || released.Load() != 1 || len(w.deadLetters("a")) != 1 {
			t.Errorf("it was told %d times and released %d times, with %d dead letters", told.Load(), released.Load(), len(w.deadLetters("a")))
		}
		if !w.d.Release(other) || !w.d.Release(broker) {
			t.Error("a stream without anything is not released")
		}
	})
}

// Dead letters that were removed are none, and a route of the same ID begins
// anew.
func TestReleasedDeadLetters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 400)
		w.apply(trigger("a"))
		w.publish("1")
		if n := len(w.deadLetters("a")); n != 1 {
			t.Fatalf("there are %d dead letters", n)
		}
		w.applyTable(&routing.Table{Complete: true})
		synctest.Wait()
		if !w.d.Release(broker) {
			t.Fatal("it is not released")
		}
		_ = w.engine.Remove(t.Context(), DeadLetterStream(broker, "a"))
		_ = w.engine.Remove(t.Context(), broker.String())
		w.streams[broker], _ = w.engine.Stream(t.Context(), engine.StreamSpec{Name: broker.String()})
		w.apply(trigger("a"))
		if s, _ := w.d.Route(t.Context(), broker, "a"); s.DeadLetters != 0 || s.Problem != "" {
			t.Errorf("the route is %+v", s)
		}
		w.publish("2")
		if letters := w.deadLetters("a"); len(letters) != 1 || letters[0].ID() != "2" {
			t.Errorf("the dead letters are %v", letters)
		}
	})
}

// A re-drive ends with its route, and stores nothing later.
func TestReleaseEndsARedrive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 400)
		w.apply(trigger("a"))
		w.publish("1", "2")
		_ = w.deadLetters("a")
		w.answer[subscriberURL] = func(context.Context, *cloudevent.Event, int) deliver.Outcome {
			time.Sleep(time.Minute) // whatever cuts it off
			return deliver.Outcome{Status: 400}
		}
		ended := make(chan error, 1)
		go func() {
			_, err := w.d.Redrive(t.Context(), broker, "a", 0)
			ended <- err
		}()
		synctest.Wait()
		p := w.d.pump(routeKey{broker, "a"})
		w.applyTable(&routing.Table{Complete: true})
		synctest.Wait()
		if w.d.Release(broker) {
			t.Error("it is released under a re-drive")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !w.d.Release(broker) {
			t.Fatal("it is not released")
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Error("the re-drive says that all went well")
			}
		default:
			t.Fatal("the re-drive goes on")
		}
		// One that had found its route before it went does not begin.
		w.d.mu.Lock()
		w.d.pumps[p.key] = p
		w.d.mu.Unlock()
		if _, err := w.d.Redrive(t.Context(), broker, "a", 0); !errors.Is(err, ErrNoRoute) {
			t.Errorf("Redrive: %v", err)
		}
		delete(w.d.pumps, p.key)
	})
}

func BenchmarkServed(b *testing.B) {
	e := newFakeEngine()
	d := New(Options{Engine: e})
	s, _ := e.Stream(b.Context(), engine.StreamSpec{Name: broker.String()})
	var routes []*routing.Route
	for i := range 5000 {
		routes = append(routes, trigger(fmt.Sprint("trigger/shop/", i)))
	}
	if err := d.Apply(b.Context(), tableOf(true, routes...), map[routing.StreamName]engine.Stream{broker: s}); err != nil {
		b.Fatal(err)
	}
	defer d.Close(context.Background())
	for b.Loop() {
		if n := len(d.Served()); n != len(routes) {
			b.Fatalf("%d are served", n)
		}
	}
}
