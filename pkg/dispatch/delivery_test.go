package dispatch

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

func TestDelivers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a"))
		w.publish("1", "2")
		w.wantIDs(subscriberURL, "1", "2")
		w.wantLag("a", 0)
		for _, s := range w.received(subscriberURL) {
			if got := s.attr(ttlAttribute); got != "" {
				t.Errorf("the subscriber saw %s=%s", ttlAttribute, got)
			}
			if !s.prefer {
				t.Error("the subscriber was not told that a reply is wanted")
			}
		}
	})
}

// What counts hops on both sides of a channel, such as Knative's own broker,
// finds its count again.
func TestChannelPassesHopsOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(subscription("a", replyTo))
		w.answer[subscriberURL] = func(_ context.Context, e *cloudevent.Event, _ int) deliver.Outcome {
			reply := event("reply-to-" + e.ID())
			if hops, ok := e.Get(ttlAttribute); ok {
				reply.Set(ttlAttribute, hops)
			}
			return deliver.Outcome{Status: http.StatusOK, Reply: &reply}
		}
		w.publishEvent(event("counted"), 17)
		w.wantLag("a", 0)
		w.publishEvent(event("uncounted"), defaultTTL)
		w.wantLag("a", 0)
		for url, id := range map[string]string{subscriberURL: "", replyURL: "reply-to-"} {
			w.wantIDs(url, id+"counted", id+"uncounted")
			for i, want := range []string{"17", ""} {
				if got := w.received(url)[i].attr(ttlAttribute); got != want {
					t.Errorf("%s saw event %d with the hops %q, not %q", url, i, got, want)
				}
			}
		}
	})
}

func TestFilteredIsSettledUnsent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a", onlyType("u")))
		w.publish("1")
		w.wantLag("a", 0)
		w.wantIDs(subscriberURL)
		if c := w.counters("a"); c.Filtered != 1 {
			t.Errorf("counters are %+v", c)
		}
	})
}

func TestFilterIsEvaluatedOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 503, 200)
		w.apply(trigger("a", retries(1)))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.apply(trigger("a", retries(1), onlyType("u")))
		time.Sleep(2 * time.Second)
		w.wantIDs(subscriberURL, "1", "1")
	})
}

func TestRetriesThenOwnDeadLetters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 503)
		w.apply(trigger("a", retries(2)))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.wantLag("a", 1)
		time.Sleep(time.Hour)
		w.wantIDs(subscriberURL, "1", "1", "1")
		w.wantLag("a", 0)
		letters := w.deadLetters("a")
		if len(letters) != 1 {
			t.Fatalf("there are %d dead letters", len(letters))
		}
		for name, want := range map[string]string{
			"id": "1", errorDest: subscriberURL, errorCode: "503",
			errorData: base64.StdEncoding.EncodeToString([]byte("no")),
		} {
			if got := attr(letters[0], name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		s, _ := w.d.Route(t.Context(), broker, "a")
		if want := subscriberURL + " answered 503 Service Unavailable"; s.LastError != want {
			t.Errorf("last error is %q, want %q", s.LastError, want)
		}
	})
}

func TestRejectedGoesToSinkAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 400)
		w.apply(trigger("a", retries(5), sink))
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.wantIDs(sinkURL, "1")
		w.wantLag("a", 0)
		got := w.received(sinkURL)[0]
		if got.attr(errorCode) != "400" || got.attr(errorDest) != subscriberURL || got.attr(ttlAttribute) != "" {
			t.Errorf("the sink received %v", got.event)
		}
		if got.prefer {
			t.Error("the sink was told that a reply is wanted")
		}
	})
}

func TestNoAnswer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 0)
		w.apply(trigger("a", sink))
		w.publish("1")
		w.wantIDs(sinkURL, "1")
		if got := w.received(sinkURL)[0].attr(errorCode); got != "500" {
			t.Errorf("%s is %q", errorCode, got)
		}
	})
}

// The sink is tried for as long as it takes, the subscriber is left alone, and
// what the sink gets at last tells the truth.
func TestSinkDown(t *testing.T) {
	for _, tc := range []struct {
		name    string
		retry   int
		answers []int
		code    string
		calls   int
	}{
		{"rejected with retries left", 5, []int{400}, "400", 1},
		{"retries used up", 1, []int{503}, "503", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.answers(subscriberURL, tc.answers...)
				w.answers(sinkURL, 500)
				w.apply(trigger("a", retries(tc.retry), sink))
				w.publish("1")
				time.Sleep(24 * time.Hour)
				w.wantLag("a", 1)
				tries := len(w.received(sinkURL))
				if tries < 24*12-30 || tries > 24*12+10 {
					t.Errorf("the sink was tried %d times in a day, want about every 5 minutes", tries)
				}
				w.answers(sinkURL, 200)
				time.Sleep(maxSinkDelay)
				w.wantLag("a", 0)
				all := w.received(sinkURL)
				if got := all[len(all)-1].attr(errorCode); got != tc.code {
					t.Errorf("%s is %q, want %q", errorCode, got, tc.code)
				}
				if n := len(w.received(subscriberURL)); n != tc.calls {
					t.Errorf("the subscriber was called %d times, want %d", n, tc.calls)
				}
				if left := w.d.budget.left.Load(); left != maxRemembered {
					t.Errorf("%d bytes of memory are not given back", maxRemembered-left)
				}
			})
		})
	}
}

func TestSinkDownAcrossRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 503)
		w.answers(sinkURL, 500)
		w.apply(trigger("a", sink))
		w.publish("1")
		w.wantIDs(sinkURL, "1")
		w.close(time.Second)
		w.restart()
		w.answers(sinkURL, 200)
		w.apply(trigger("a", sink))
		time.Sleep(time.Minute)
		w.wantLag("a", 0)
		w.wantIDs(subscriberURL, "1")
		w.wantIDs(sinkURL, "1", "1")
		if got := w.received(sinkURL)[1].attr(errorDest); got != subscriberURL {
			t.Errorf("%s is %q", errorDest, got)
		}
	})
}

// Safe before ack: as long as the dead letter cannot be stored, the event is
// not settled.
func TestDeadLetterIsSafeBeforeAck(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 400)
		w.apply(trigger("a"))
		w.publish("1")
		w.wantLag("a", 0)
		w.failAppends(func(stream string) error {
			if strings.HasPrefix(stream, deadLetterPrefix) {
				return engine.ErrFull
			}
			return nil
		})
		w.publish("2")
		time.Sleep(time.Hour)
		w.wantLag("a", 1)
		w.failAppends(nil)
		time.Sleep(maxSinkDelay)
		w.wantLag("a", 0)
		if letters := w.deadLetters("a"); len(letters) != 2 {
			t.Errorf("there are %d dead letters, want 2", len(letters))
		}
		w.wantIDs(subscriberURL, "1", "2")
	})
}

func TestUndecodableRecordDoesNotBlock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a", func(r *routing.Route) { r.MaxInFlight = 1 }))
		if _, err := w.streams[broker].Append(t.Context(), engine.Payload{Data: []byte("\xff garbage")}); err != nil {
			t.Fatal(err)
		}
		w.publish("1")
		w.wantIDs(subscriberURL, "1")
		w.wantLag("a", 0)
		s, _ := w.engine.Stream(t.Context(), engine.StreamSpec{Name: DeadLetterStream(broker, "a")})
		records, _ := s.Read(t.Context(), 1, 10)
		if len(records) != 1 || string(records[0].Data) != "\xff garbage" {
			t.Errorf("the dead letters are %v", records)
		}
	})
}

func TestOneSlowDeliveryDelaysNoOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hangs("http://slow.example", time.Hour)
		w.apply(trigger("a"), trigger("slow", func(r *routing.Route) {
			r.Subscriber = &routing.Destination{URL: "http://slow.example"}
			r.MaxInFlight = 2
		}))
		w.publish("1", "2", "3")
		w.wantIDs(subscriberURL, "1", "2", "3")
		if n := len(w.received("http://slow.example")); n != 2 {
			t.Errorf("%d deliveries at once, want MaxInFlight = 2", n)
		}
	})
}

func TestStorageFailureIsNotTheSubscribersFault(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.replies("r")
		w.apply(trigger("a", onlyType("t"), sink))
		w.publish("1")
		w.failAppends(func(string) error { return engine.ErrFull })
		time.Sleep(time.Hour)
		w.wantIDs(sinkURL)
		w.wantLag("a", 1)
		if n := len(w.received(subscriberURL)); n < 300 || n > 400 {
			t.Errorf("the subscriber was called %d times in an hour, want every 10 s", n)
		}
		w.failAppends(nil)
		time.Sleep(maxHold)
		w.wantLag("a", 0)
		if got := w.stored(broker.String()); len(got) != 2 || got[1].ID() != "reply-to-1" {
			t.Errorf("the broker holds %v", got)
		}
		if s, _ := w.d.Route(t.Context(), broker, "a"); !strings.Contains(s.LastError, engine.ErrFull.Error()) {
			t.Errorf("last error is %q", s.LastError)
		}
	})
}

func TestOutcomeTexts(t *testing.T) {
	long := newFailure(subscriberURL, deliver.Outcome{Err: errors.New(strings.Repeat("é", 1000))})
	if s := bounded(long.String()); len(s) > maxError || !strings.HasSuffix(s, "...") {
		t.Errorf("a long error became %q", s)
	}
	if got := newFailure("d", deliver.Outcome{Status: http.StatusTeapot}).String(); got != "d answered 418 I'm a teapot" {
		t.Errorf("got %q", got)
	}
	if got := newFailure("d", deliver.Outcome{Status: 799}).String(); got != "d answered 799" {
		t.Errorf("got %q", got)
	}
}
