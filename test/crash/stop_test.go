package crash

import (
	"net/http"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// An orderly stop under load loses nothing, repeats nothing, and does not count
// attempts anew.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	r := random(t)
	w := newWorld(t, r)
	l := w.lives(t)
	events := newLedger()
	senders := startLoad(t, events, orders, payments)
	const stops = 4
	for range stops {
		l.start()
		senders.aim(l.URL)
		time.Sleep(between(r, 100*time.Millisecond, 500*time.Millisecond))
		l.stop()
	}
	senders.end()
	l.start()
	settle(t, func() []string { return w.wrong(events) })
	l.stop()
	report(t, w.wrong(events))
	for _, route := range w.routes {
		wantTimes(t, route.name, route.counts(), 1)
	}
	wantTimes(t, w.failing.name, w.failing.counts(), 2) // retry+1
	t.Logf("%d stops, %d events acknowledged", stops, events.acked)
}

func wantTimes(t *testing.T, name string, counts map[string]int, want int) {
	t.Helper()
	others := map[int]int{}
	for _, n := range counts {
		if n != want {
			others[n]++
		}
	}
	if len(others) > 0 {
		t.Errorf("%s: of %d events each must come %d times; so many came so often instead: %v", name, len(counts), want, others)
	}
}

// A delivery that does not end within the grace period is cut off and comes
// back; the stop is still an orderly one.
func TestStopDoesNotWaitLongerThanTheGracePeriod(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	defer close(hang)
	sub := harness.NewSubscriber(t, harness.InTurn(harness.Answer{Until: hang}, harness.Answer{Status: http.StatusOK}))
	l := newLives(t, harness.Broker("orders"), harness.Trigger("hanging", "orders", sub.URL))
	l.config.Args = []string{"--grace-period", "500ms"}
	l.start()
	harness.Send(t, l.URL+orders, harness.Event("1"))
	sub.Wait(t, 1)
	began := time.Now()
	l.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v with a grace period of 500ms", took)
	}
	l.start()
	sub.Wait(t, 2)
	l.stop()
	if ids := sub.IDs(); len(ids) != 2 || ids[1] != "1" {
		t.Errorf("the subscriber got %q, want the event again after the stop", ids)
	}
}
