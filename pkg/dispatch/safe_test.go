package dispatch

import (
	"context"
	"testing"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/routing"
)

// Whoever dies while a reply or a dead letter is on its way delivers again: until
// it is safe the event is not settled (invariant 5).
func TestReplyIsSafeBeforeAck(t *testing.T) {
	for _, tc := range []struct {
		name       string
		subscriber int // what it answers; below 300 with a reply
		reply      int // what the reply's address answers
		route      *routing.Route
		safe       string // where the event or what comes of it gets
	}{
		{"reply into the broker", 200, 0, trigger("a"), broker.String()},
		{"reply to an address", 200, 202, subscription("a", replyTo), replyURL},
		{"rejected reply to the sink", 200, 400, subscription("a", replyTo, sink), sinkURL},
		{"dead letter to the sink", 400, 0, trigger("a", sink), sinkURL},
		{"dead letter that is kept", 400, 0, trigger("a"), DeadLetterStream(broker, "a")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				reached := 0
				arrives := func(where string) {
					if where != tc.safe {
						return
					}
					reached++
					if s, _ := w.d.Route(t.Context(), broker, "a"); s.Consumer.Lag != 1 || s.Consumer.InFlight != 1 {
						t.Errorf("while it is on its way to %s the event is settled: %+v", where, s.Consumer)
					}
				}
				at := func(url string, status int) {
					w.answer[url] = func(context.Context, *cloudevent.Event, int) deliver.Outcome {
						arrives(url)
						return deliver.Outcome{Status: status}
					}
				}
				w.answers(subscriberURL, tc.subscriber)
				if tc.subscriber < 300 {
					w.replies("r")
				}
				at(replyURL, tc.reply)
				at(sinkURL, 200)
				tc.route.Filter.Attributes = map[string]string{"type": "t"} // not its own reply
				w.apply(tc.route)
				published := false
				w.failAppends(func(stream string) error {
					if published {
						arrives(stream)
					}
					published = true
					return nil
				})
				w.publish("1")
				time.Sleep(time.Minute)
				w.wantLag("a", 0)
				if reached != 1 {
					t.Errorf("%d arrive at %s, want 1", reached, tc.safe)
				}
			})
		})
	}
}
