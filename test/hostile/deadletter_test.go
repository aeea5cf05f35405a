package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// A dead letter sink is down, and the process is killed meanwhile. The dead
// letters are parked and shown, hold neither slots nor goroutines, keep no other
// event waiting, and arrive when the sink is back, each once.
func TestSinkDownAcrossKill(t *testing.T) {
	const n = 300
	port := harness.ReservePort(t)
	sink := harness.NewSubscriber(t, nil)
	sub := harness.NewSubscriber(t, func(r harness.Request) harness.Answer {
		if strings.HasPrefix(r.ID(), "bad") {
			return harness.Answer{Status: http.StatusUnprocessableEntity}
		}
		return harness.Answer{}
	})
	l := harness.StartWith(t, []string{"--profiling"}, harness.Broker("hub"), harness.Annotated(harness.Trigger("all", "hub", sub.URL,
		fmt.Sprintf("delivery: {retry: 2, backoffDelay: PT0.01S, deadLetterSink: {uri: %q}}", port.URL)), "leat.dev/max-in-flight: '10'"))
	w := &world{Leat: l, t: t}
	harness.Send(t, l.BrokerURL("hub"), harness.Event("good-before"))
	sub.WaitEvent(t, "good-before")
	idle := w.look()

	for i := range n {
		harness.Send(t, l.BrokerURL("hub"), harness.Event(fmt.Sprint("bad", i)))
	}
	// parked waits until the route shows all of them, that nobody works on them at
	// the moment, and what the last error was: none in a process that has not
	// tried any of them yet.
	parked := func(when, lastError string) {
		t.Helper()
		harness.Eventually(t, "all dead letters are parked "+when, func() bool {
			r := l.Route("all")
			return r.Parked == n && r.InFlight == 0 && r.Lag == n && r.DeadLetters == 0 && strings.Contains(r.LastError, lastError)
		})
		// Ten deliveries at once keep two connections each, with two goroutines.
		// Workers that have nothing to do any more linger for a second.
		var now vitals
		harness.Eventually(t, "they hold no goroutines "+when, func() bool {
			now = w.look()
			return now.goroutines < idle.goroutines+n/5
		})
		t.Logf("%s: %v", when, now)
	}
	parked("before the kill", "connection refused")
	begun := time.Now()
	for i := 0; i < 1 || time.Since(begun) < *tortureTime; i++ {
		l.Restart()
		good := fmt.Sprint("good-", i)
		harness.Send(t, l.BrokerURL("hub"), harness.Event(good))
		sub.WaitEvent(t, good)
		parked("after the kill", "")
	}

	port.Serve(sink)
	back := time.Now()
	// A dead letter that was refused often waits for up to five minutes.
	for deadline := time.Now().Add(6 * time.Minute); l.Route("all").Lag > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the sink is back, and the route is %+v", l.Route("all"))
		}
	}
	times := map[string]int{}
	for _, r := range sink.Requests() {
		times[r.ID()]++
		if dest := r.Event.Extensions()["knativeerrordest"]; dest != sub.URL {
			t.Errorf("%s arrives with knativeerrordest %v", r.ID(), dest)
		}
	}
	for i := range n {
		if id := fmt.Sprint("bad", i); times[id] != 1 {
			t.Errorf("%s arrived %d times", id, times[id])
		}
	}
	if len(times) != n {
		t.Errorf("%d dead letters arrived, want %d", len(times), n)
	}
	t.Logf("the sink was down for %v; %d dead letters arrived within %v of its coming back", back.Sub(begun), n, time.Since(back))
	if r := l.Route("all"); r.Lag+uint64(r.DeadLetters) > 0 {
		t.Errorf("the route is %+v", r)
	}
}
