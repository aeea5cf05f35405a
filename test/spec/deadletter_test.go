package spec

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

func deadLetterSink(s *harness.Subscriber) string {
	return fmt.Sprintf("delivery: {retry: 1, backoffDelay: PT0.01S, deadLetterSink: {uri: %q}}", s.URL)
}

func TestUndeliverableEventGoesToTheSink(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		for name, answer := range map[string]harness.Answer{
			"refused":         {Status: http.StatusForbidden},
			"retries-used-up": {Status: http.StatusServiceUnavailable},
			"no-answer":       {Abort: true},
		} {
			t.Run(name, func(t *testing.T) {
				sub, sink := harness.NewSubscriber(t, harness.InTurn(answer)), harness.NewSubscriber(t, nil)
				l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL, deadLetterSink(sink)))
				e := harness.Event("1", harness.Ext("comexample", "kept"))
				harness.Send(t, h.url(l, "hub"), e)
				l.WaitSettled()
				wantIDs(t, "the sink", sink.IDs(), "1")
				got := sink.WaitEvent(t, "1").Event
				wantSame(t, got, e)
				if dest := got.Extensions()["knativeerrordest"]; dest != sub.URL {
					t.Errorf("the dead letter has knativeerrordest %v, want %s", dest, sub.URL)
				}
			})
		}
	})
}

// Without a sink the route is done with the event, which it keeps in its own
// dead letters, and goes on with the next one.
func TestWithoutASinkTheDeliveryEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, harness.InTurn(harness.Answer{Status: http.StatusForbidden}, harness.Answer{}))
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
		harness.Send(t, h.url(l, "hub"), harness.Event("bad"))
		l.WaitSettled()
		harness.Send(t, h.url(l, "hub"), harness.Event("good"))
		l.WaitSettled()
		wantIDs(t, "the subscriber", sub.IDs(), "bad", "good")
		if n := l.Route("all").DeadLetters; n != 1 {
			t.Errorf("the route keeps %d dead letters, want 1", n)
		}
	})
}

func TestFailedDeadLettersAreRetried(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, harness.Always(http.StatusForbidden))
		sink := harness.NewSubscriber(t, harness.InTurn(
			harness.Answer{Status: http.StatusServiceUnavailable}, harness.Answer{Abort: true}, harness.Answer{}))
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL,
			fmt.Sprintf("delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT0.05S, deadLetterSink: {uri: %q}}", sink.URL)))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		got := sink.Wait(t, 3)
		for n, gap := range gaps(got) {
			if gap < time.Duration(n)*50*time.Millisecond {
				t.Errorf("the dead letter's retry %d came after %v, which is before the backoff", n+1, gap)
			}
		}
		l.WaitSettled()
		wantIDs(t, "the sink", sink.IDs(), "1", "1", "1")
	})
}

// The stream's delivery is for routes that say nothing; one that says anything
// gets none of it.
func TestRouteDeliveryReplacesTheStreams(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		const default2 = "delivery: {retry: 2, backoffPolicy: linear, backoffDelay: PT0.01S}"
		inherits := harness.NewSubscriber(t, harness.Always(http.StatusServiceUnavailable))
		own := harness.NewSubscriber(t, harness.Always(http.StatusServiceUnavailable))
		l := harness.Start(t, h.stream("hub", default2), h.route("inherits", "hub", inherits.URL),
			h.route("own", "hub", own.URL, "delivery: {backoffDelay: PT0.02S}"))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		l.WaitSettled()
		wantIDs(t, "a route without delivery, by the stream's retry: 2,", inherits.IDs(), "1", "1", "1")
		wantIDs(t, "a route with a delivery that names no retry", own.IDs(), "1")
	})
}

func TestStreamsSinkIsTheDefault(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, harness.Always(http.StatusForbidden))
		general, own := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub", deadLetterSink(general)),
			h.route("inherits", "hub", sub.URL), h.route("own", "hub", sub.URL, deadLetterSink(own)))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		l.WaitSettled()
		wantIDs(t, "the stream's sink", general.IDs(), "1")
		wantIDs(t, "the route's sink", own.IDs(), "1")
	})
}
