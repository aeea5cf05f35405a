package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

// A deleted object's events and dead letters go, also those of routes that were
// gone before, and nothing of another stream does. Once is enough, and a second
// time does no harm.
func TestRemoved(t *testing.T) {
	dir := t.TempDir()
	refuses := subscribe(t, http.StatusBadRequest)
	fails := subscribe(t, http.StatusServiceUnavailable)
	stuck := routeTo(fails, orders, "stuck")
	stuck.Delivery.Retry = 10
	refused := routeTo(refuses, orders, "refused")
	other := routing.StreamName{Kind: routing.Channel, Namespace: "shop", Name: "orders"}
	kept := routeTo(refuses, other, "refused")
	table := func(routes ...*routing.Route) *routing.Table {
		t := tableOf(orders, "u", routes...)
		t.Streams[other] = &routing.Stream{Name: other, UID: "v", Routes: []*routing.Route{kept}}
		return t
	}
	l := begin(t, dir, table(stuck, refused))
	l.send(orders, "1", "2", "3")
	l.send(other, "4")
	l.eventually("there are dead letters", func() bool { return l.deadLetters() == 4 })
	l.apply(table(stuck))
	l.eventually("the refused route is gone", func() bool { return len(l.served().Streams[orders.String()].Routes) == 1 })
	if n := l.deadLetters(); n != 4 {
		t.Fatalf("with a Trigger its dead letters went: there are %d", n)
	}

	gone := table()
	delete(gone.Streams, orders)
	gone.Removed = map[routing.StreamName]string{orders: "u"}
	l.apply(gone)
	l.awaitRemoved(orders, "u")
	if status := l.post(orders, "5"); status != http.StatusNotFound {
		t.Errorf("an event for a deleted Broker is answered %d", status)
	}
	if n := l.deadLetters(); n != 1 {
		t.Errorf("there are %d dead letters, want that of the other stream", n)
	}
	said := l.log.find("what was stored of a deleted object is deleted")
	if said["stream"] != orders.String() || said["uid"] != "u" || said["events"] != "3" || said["deadLetters"] != "3" {
		t.Errorf("the log says %v", said)
	}
	want := []string{other.String(), "dead/" + other.String() + "/" + kept.ID}
	l.stop()
	if got := onDisk(t, dir); !slices.Equal(got, want) {
		t.Errorf("on disk are %q, want %q", got, want)
	}

	l = begin(t, dir, gone)
	l.awaitRemoved(orders, "u")
	if l.log.find("what was stored of a deleted object is deleted") != nil {
		t.Error("something was deleted again")
	}
	l.stop()
	if got := onDisk(t, dir); !slices.Equal(got, want) {
		t.Errorf("after a restart on disk are %q, want %q", got, want)
	}
}

// A crash in the middle of it leaves a part, which goes with the next start.
func TestRemovalGoesOnAfterACrash(t *testing.T) {
	for name, missing := range map[string]func(string) bool{
		"before all":      func(string) bool { return false },
		"in the middle":   func(s string) bool { return strings.HasPrefix(s, "dead/") && strings.HasSuffix(s, "-a") },
		"before the last": func(s string) bool { return strings.HasPrefix(s, "dead/") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := subscribe(t, http.StatusBadRequest)
			l := begin(t, dir, tableOf(orders, "u", routeTo(s, orders, "a"), routeTo(s, orders, "b")))
			l.send(orders, "1")
			l.eventually("there are dead letters", func() bool { return l.deadLetters() == 2 })
			l.stop()
			removeFrom(t, dir, missing)
			if len(onDisk(t, dir)) == 0 {
				t.Fatal("nothing is left to remove")
			}
			l = begin(t, dir, removing(orders, "u"))
			l.awaitRemoved(orders, "u")
			l.stop()
			if got := onDisk(t, dir); len(got) > 0 {
				t.Errorf("on disk are %q", got)
			}
		})
	}
}

// Missing is not deleted: neither what is in no table, nor what one that is not
// complete says.
func TestMissingIsKept(t *testing.T) {
	dir := t.TempDir()
	s := subscribe(t, http.StatusBadRequest)
	r := routeTo(s, orders, "a")
	l := begin(t, dir, tableOf(orders, "u", r))
	l.send(orders, "1")
	l.eventually("there is a dead letter", func() bool { return l.deadLetters() == 1 })
	l.apply(&routing.Table{Complete: true})
	l.eventually("it is served no more", func() bool { return len(l.served().Streams) == 0 })
	incomplete := removing(orders, "u")
	incomplete.Complete = false
	other := routing.StreamName{Kind: routing.Broker, Namespace: "x", Name: "never-was"}
	incomplete.Removed[other] = "o"
	l.apply(incomplete)
	l.awaitRemoved(other, "o")
	if uid, told := l.served().Removed[orders.String()]; told {
		t.Errorf("what is stored was called removed: %s", uid)
	}
	l.apply(tableOf(orders, "u", r))
	l.awaitServed(r)
	if n := l.deadLetters(); n != 1 {
		t.Errorf("there are %d dead letters", n)
	}
	l.stop()
	if got := onDisk(t, dir); len(got) != 2 {
		t.Errorf("on disk are %q", got)
	}
}

// What is under way when a Broker is deleted may end; until then nothing is
// called removed, and what comes of it is not stored.
func TestRemovalWaitsForDeliveries(t *testing.T) {
	dir := t.TempDir()
	s := subscribe(t, http.StatusBadRequest)
	s.hold = make(chan struct{})
	l := begin(t, dir, tableOf(orders, "u", routeTo(s, orders, "a"), routeTo(s, orders, "b")))
	l.send(orders, "1")
	l.eventually("it is being delivered", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.got) == 2 })
	gone := removing(orders, "u")
	never := routing.StreamName{Kind: routing.Broker, Namespace: "x", Name: "never-was"}
	gone.Removed[never] = "o"
	l.apply(gone)
	l.awaitRemoved(never, "o")
	if _, told := l.served().Removed[orders.String()]; told {
		t.Error("it is called removed while its events are delivered")
	}
	if status := l.post(orders, "2"); status != http.StatusNotFound {
		t.Errorf("an event for a deleted Broker is answered %d", status)
	}
	l.apply(gone) // and again
	close(s.hold)
	l.awaitRemoved(orders, "u")
	l.stop()
	if got := onDisk(t, dir); len(got) > 0 {
		t.Errorf("on disk are %q", got)
	}
}

// An object of the same name with another UID begins with nothing, whether its
// predecessor was seen to go or not.
func TestCreatedAgain(t *testing.T) {
	for name, between := range map[string]*routing.Table{
		"at once":           nil,
		"after an absence":  {Complete: true},
		"from an old table": {},
	} {
		t.Run(name, func(t *testing.T) {
			refuses := subscribe(t, http.StatusBadRequest)
			refused := routeTo(refuses, orders, "refused")
			s := subscribe(t, http.StatusServiceUnavailable)
			r := routeTo(s, orders, "a")
			r.Delivery.Retry, r.Delivery.BackoffDelay = 1000, time.Millisecond
			l := begin(t, t.TempDir(), tableOf(orders, "u", r, refused))
			l.send(orders, "old")
			l.eventually("it was tried, and refused", func() bool { return len(s.ids()) == 1 && l.deadLetters() == 1 })
			if between != nil {
				l.apply(between)
				l.eventually("it is served no more", func() bool { return len(l.served().Streams) == 0 })
			}
			again := tableOf(orders, "v", r, refused)
			again.Complete = between == nil || between.Complete
			l.apply(again)
			l.eventually("the new one is served", func() bool {
				is := l.served().Streams[orders.String()]
				return is.UID == "v" && len(is.Routes) == 2
			})
			if n := l.deadLetters(); n != 0 {
				t.Errorf("it has %d dead letters of its predecessor", n)
			}
			s.mu.Lock()
			s.got = nil
			s.mu.Unlock()
			s.answer(http.StatusOK)
			l.send(orders, "new")
			l.eventually("the new event is delivered", func() bool { return slices.Contains(s.ids(), "new at /") })
			l.eventually("it is a dead letter", func() bool { return l.deadLetters() == 1 })
			if got := s.ids(); !slices.Equal(got, []string{"new at /"}) {
				t.Errorf("the new Broker delivered %q", got)
			}
		})
	}
}

// The data of a later object is not deleted on behalf of an earlier one.
func TestRemovalOfAnEarlierObject(t *testing.T) {
	s := subscribe(t, http.StatusBadRequest)
	r := routeTo(s, orders, "a")
	l := begin(t, t.TempDir(), tableOf(orders, "v", r))
	l.send(orders, "1")
	l.eventually("there is a dead letter", func() bool { return l.deadLetters() == 1 })
	l.apply(removing(orders, "u"))
	l.awaitRemoved(orders, "u")
	l.apply(tableOf(orders, "v", r))
	l.awaitServed(r)
	if n := l.deadLetters(); n != 1 {
		t.Errorf("there are %d dead letters", n)
	}
}

// Events that come in while their Broker is deleted are taken or refused, and
// bring nothing back.
func TestRemovalUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s := subscribe(t, http.StatusBadRequest)
	reply := subscribe(t, http.StatusOK)
	l := begin(t, dir, tableOf(orders, "0"))
	var load sync.WaitGroup
	var stop atomic.Bool
	var taken, refused atomic.Int64
	defer load.Wait()
	defer stop.Store(true)
	for i := range 8 {
		load.Go(func() {
			for n := 0; !stop.Load(); n++ {
				switch status := l.post(orders, fmt.Sprint(i, "-", n)); status {
				case http.StatusAccepted:
					taken.Add(1)
				case http.StatusNotFound, http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("an event is answered %d", status)
				}
			}
		})
	}
	for i := 1; i <= 10; i++ {
		uid, before := fmt.Sprint(i), taken.Load()
		l.apply(tableOf(orders, uid, routeTo(s, orders, "a"), routeTo(reply, orders, "b")))
		l.eventually("events are taken", func() bool { return taken.Load() > before+5 })
		l.apply(removing(orders, uid))
		l.awaitRemoved(orders, uid)
		if n := l.deadLetters(); n != 0 {
			t.Errorf("there are %d dead letters of a deleted Broker", n)
		}
	}
	stop.Store(true)
	load.Wait()
	if refused.Load() == 0 || len(s.ids()) == 0 {
		t.Error("nothing was refused, or nothing delivered")
	}
	l.stop()
	if got := onDisk(t, dir); len(got) > 0 {
		t.Errorf("on disk are %q", got)
	}
}
