package crash

import (
	"testing"
	"time"
)

// A repeated delivery was in flight at the kill or had been settled since the
// last checkpoint. One is made every 100 ms; the rest is for a machine that is
// busy with other things, and for the sync.
const checkpoint = 100*time.Millisecond + 2*time.Second

// The real binary is killed at random moments, also while it starts.
func TestKill(t *testing.T) {
	r := random(t)
	w := newWorld(t, r)
	l := w.lives(t)
	events := newLedger()
	senders := startLoad(t, events, orders, payments)
	for i := range *rounds {
		if i%4 == 3 {
			l.stillborn(between(r, 0, 80*time.Millisecond))
		}
		l.start()
		senders.aim(l.URL)
		time.Sleep(between(r, 20*time.Millisecond, 600*time.Millisecond))
		l.kill()
	}
	l.start()
	senders.aim(l.URL)
	time.Sleep(200 * time.Millisecond)
	senders.end()
	settle(t, func() []string { return w.wrong(events) })
	l.stop()
	report(t, w.wrong(events))

	t.Logf("%d kills, %d events acknowledged of %d requests", l.kills, events.acked, len(events.requests))
	for _, route := range w.routes {
		if route.receiver == nil {
			t.Logf("%-16s %6d events", route.name, len(route.counts()))
			continue
		}
		again := route.repeats()
		t.Logf("%-16s %6d deliveries, %4d repeated, at most %3d by one kill, answered at most %v before it",
			route.name, route.total(), again.total, again.most, again.oldest.Round(time.Millisecond))
		if route.name == "replies" {
			continue // a reply that was stored twice is two events
		}
		if len(again.unexplained) > 0 {
			t.Errorf("%s: %d events came twice from one process: %q", route.name, len(again.unexplained), again.unexplained)
		}
		if again.oldest > checkpoint {
			t.Errorf("%s: an event came again that had been answered %v before the kill", route.name, again.oldest)
		}
	}
	if events.acked < 10**rounds {
		t.Errorf("only %d events were acknowledged: that is no load", events.acked)
	}
}
