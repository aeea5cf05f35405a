package crash

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// A retry that is parked when the process is killed comes at its time, and the
// attempts before the kill count.
func TestParkedRetriesSurviveAKill(t *testing.T) {
	t.Parallel()
	failing := harness.NewSubscriber(t, harness.Always(http.StatusServiceUnavailable))
	sink := harness.NewSubscriber(t, nil)
	l := newLives(t, harness.Broker("orders"), harness.Trigger("failing", "orders", failing.URL, fmt.Sprintf(
		"delivery: {retry: 2, backoffPolicy: exponential, backoffDelay: PT2S, deadLetterSink: {uri: %q}}", sink.URL)))
	l.start()
	harness.Send(t, l.URL+orders, harness.Event("1"))
	for attempts := 1; attempts <= 2; attempts++ {
		failing.Wait(t, attempts)
		time.Sleep(time.Second) // half of the shortest time parked, and ten checkpoints
		l.kill()
		l.start()
	}
	sink.WaitEvent(t, "1")
	l.stop()
	got := failing.Requests()
	if len(got) != 3 || len(sink.Requests()) != 1 {
		t.Fatalf("%d attempts and %d dead letters, want retry+1 = 3 and 1", len(got), len(sink.Requests()))
	}
	for i, least := range []time.Duration{2 * time.Second, 4 * time.Second} {
		// A tenth is jitter; the rest is for a busy machine.
		if gap := got[i+1].At.Sub(got[i].At); gap < least || gap > least*11/10+time.Second {
			t.Errorf("retry %d came %v after the attempt before it, want %v", i+1, gap, least)
		}
	}
}
