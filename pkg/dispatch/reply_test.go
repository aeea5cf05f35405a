package dispatch

import (
	"context"
	"testing"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

func TestTriggerReplyEntersTheBroker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.replies("r")
		w.apply(trigger("a", onlyType("t")), trigger("b", onlyType("r"), func(r *routing.Route) {
			r.Subscriber = &routing.Destination{URL: "http://b.example"}
		}))
		w.publishEvent(event("1"), 7)
		w.wantIDs("http://b.example", "reply-to-1")
		w.wantLag("a", 0)
		stored := w.stored(broker.String())
		if len(stored) != 2 || attr(stored[1], ttlAttribute) != "6" {
			t.Errorf("the broker holds %v", stored)
		}
	})
}

// A Trigger that answers every event with one that it gets again ends when the
// hops are used up (invariant 8).
func TestReplyLoopEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.replies("t")
		w.apply(trigger("a", retries(3)))
		stored := 0
		w.failAppends(func(string) error { // so that a loop without end fails and does not go on
			if stored++; stored > 100 {
				return engine.ErrFull
			}
			return nil
		})
		w.publishEvent(event("1"), 5)
		if n := len(w.received(subscriberURL)); n != 5 {
			t.Errorf("the event went round %d times, want 5", n)
		}
		w.wantLag("a", 0)
		c := w.counters("a")
		if c.HopsUsedUp != 1 || c.Dropped != 1 || c.Replies != 4 || c.Retried != 0 {
			t.Errorf("counters are %+v", c)
		}
	})
}

// A reply that the broker will never take is a dead letter, as one that a
// reply destination rejects.
func TestRejectedReplyIsADeadLetter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.replies("too-big")
		w.apply(trigger("a", sink, retries(3)))
		w.publish("1")
		w.wantIDs(sinkURL, "reply-to-1")
		w.wantLag("a", 0)
		if got := w.received(sinkURL)[0]; got.attr(errorCode) != "413" || got.attr(errorDest) != broker.String() {
			t.Errorf("the sink received %v", got.event)
		}
	})
}

// slowly lets more time pass before a retry than a delivery may keep its slot.
func slowly(r *routing.Route) { r.Delivery.BackoffDelay = 10 * time.Second }

func TestSubscriptionReply(t *testing.T) {
	for _, tc := range []struct {
		name      string
		change    []func(*routing.Route)
		reply     []int // what the reply destination answers
		delivered int   // attempts at the subscriber
		replied   int
		sunk      string // what the sink receives
		counted   Counters
	}{
		{"accepted", []func(*routing.Route){replyTo}, []int{202}, 1, 1, "", Counters{Delivered: 1, Replies: 1}},
		{"offered again", []func(*routing.Route){replyTo, retries(2)}, []int{503, 202}, 1, 2, "", Counters{Delivered: 1, Replies: 1}},
		{"given up", []func(*routing.Route){replyTo, retries(1)}, []int{503}, 1, 2, "reply-to-1", Counters{DeadLettered: 1}},
		{"retried as a whole", []func(*routing.Route){replyTo, retries(2), slowly}, []int{503, 202}, 2, 2, "", Counters{Delivered: 1, Replies: 1, Retried: 1}},
		{"retried as a whole after some offers", []func(*routing.Route){replyTo, retries(9)}, []int{503, 503, 503, 503, 202}, 3, 5, "",
			Counters{Delivered: 1, Replies: 1, Retried: 2}},
		{"rejected", []func(*routing.Route){replyTo, retries(1)}, []int{400}, 1, 1, "reply-to-1", Counters{DeadLettered: 1}},
		{"nowhere to go", []func(*routing.Route){retries(1)}, nil, 1, 0, "", Counters{Delivered: 1, Dropped: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.replies("r")
				if tc.reply != nil {
					w.answers(replyURL, tc.reply...)
				}
				w.apply(subscription("a", append(tc.change, sink)...))
				w.publish("1")
				time.Sleep(time.Minute)
				w.wantLag("a", 0)
				if n := len(w.received(subscriberURL)); n != tc.delivered {
					t.Errorf("%d attempts at the subscriber, want %d", n, tc.delivered)
				}
				replies := w.received(replyURL)
				if len(replies) != tc.replied {
					t.Errorf("%d attempts at the reply, want %d", len(replies), tc.replied)
				}
				for _, s := range replies {
					if s.prefer || s.event.ID() != "reply-to-1" {
						t.Errorf("the reply destination received %v, a reply wanted: %v", s.event, s.prefer)
					}
				}
				want := []string{}
				if tc.sunk != "" {
					want = append(want, tc.sunk)
				}
				w.wantIDs(sinkURL, want...)
				if got := w.counters("a"); got != tc.counted {
					t.Errorf("counters are %+v, want %+v", got, tc.counted)
				}
			})
		})
	}
}

// The reply itself is what waits for a sink that is down.
func TestReplyWaitsForTheSink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.replies("r")
		w.answers(replyURL, 400)
		w.answers(sinkURL, 503, 503, 200)
		w.apply(subscription("a", replyTo, sink, retries(5)))
		w.publish("1")
		time.Sleep(time.Minute)
		w.wantIDs(sinkURL, "reply-to-1", "reply-to-1", "reply-to-1")
		w.wantIDs(subscriberURL, "1")
		w.wantLag("a", 0)
	})
}

// A subscription without a subscriber sends the event itself to the reply, and
// does not say that it would take a reply (control-plane spec, Subscription).
func TestOnlyReply(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(subscription("a", replyTo, func(r *routing.Route) { r.Subscriber = nil }))
		w.publish("1")
		w.wantIDs(replyURL, "1")
		if w.received(replyURL)[0].prefer {
			t.Error("a reply was asked for")
		}
	})
}

// What a subscriber says that nobody listens to cannot fail its delivery.
func TestUnreadableReplyThatWouldBeDropped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answer[subscriberURL] = func(context.Context, *cloudevent.Event, int) deliver.Outcome {
			return deliver.Outcome{Status: 200, ReplyErr: errTooBig}
		}
		w.apply(subscription("a", retries(1)), trigger("b"))
		w.publish("1")
		w.wantLag("a", 0)
		if c := w.counters("a"); c.Delivered != 1 {
			t.Errorf("the subscription's counters are %+v", c)
		}
		if c := w.counters("b"); c.DeadLettered != 1 {
			t.Errorf("the trigger's counters are %+v", c)
		}
	})
}

func toOther(r *routing.Route) {
	r.Subscriber = &routing.Destination{URL: "http://leat.example/ns/other", Local: &other}
}

func TestLocalSubscriber(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a", toOther))
		w.publishEvent(event("1"), 7)
		w.wantLag("a", 0)
		stored := w.stored(other.String())
		if len(stored) != 1 || attr(stored[0], ttlAttribute) != "6" {
			t.Errorf("the other broker holds %v", stored)
		}
	})
}

// Two brokers that feed each other, and one whose dead letters come back to
// itself, end with the event kept where it can be seen.
func TestLocalLoopsEnd(t *testing.T) {
	for name, change := range map[string]func(*routing.Route){
		"subscriber": func(r *routing.Route) { r.Subscriber = &routing.Destination{URL: "u", Local: &broker} },
		"dead letter sink": func(r *routing.Route) {
			r.Delivery.DeadLetterSink = &routing.Destination{URL: "u", Local: &broker}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.answers(subscriberURL, 400)
				w.apply(trigger("a", change))
				w.publishEvent(event("1"), 3)
				w.wantLag("a", 0)
				if n := len(w.stored(broker.String())); n != 3 {
					t.Errorf("the event entered the broker %d times, want 3", n)
				}
				if letters := w.deadLetters("a"); len(letters) != 1 {
					t.Errorf("there are %d dead letters, want 1", len(letters))
				}
			})
		})
	}
}
