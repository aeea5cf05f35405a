package dispatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
)

func (w *world) seek(route string, to engine.Seq, want engine.Sought) {
	w.t.Helper()
	synctest.Wait()
	if got, err := w.d.Seek(w.t.Context(), broker, route, to); err != nil || got != want {
		w.t.Errorf("a seek to %d came to %+v, %v; want %+v", to, got, err, want)
	}
	synctest.Wait()
}

// A route is moved back and forth; what it skips is counted.
func TestSeek(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.apply(trigger("a", retries(100)))
		for _, id := range []string{"1", "2", "3"} {
			w.publish(id)
		}
		w.seek("a", 2, engine.Sought{Place: 2, Again: 2})
		w.wantIDs(subscriberURL, "1", "2", "3", "2", "3")
		w.answers(subscriberURL, 503)
		w.publish("4")
		w.publish("5")
		w.seek("a", 5, engine.Sought{Place: 5, Skipped: 1})
		w.seek("a", 99, engine.Sought{Place: 6, Skipped: 1})
		w.answers(subscriberURL, 200)
		w.publish("6")
		time.Sleep(time.Hour)
		s, _ := w.d.Route(t.Context(), broker, "a")
		if s.Counters.Skipped != 2 || s.Consumer.Lag != 0 {
			t.Errorf("the state is %+v", s)
		}
		if _, err := w.d.Seek(t.Context(), broker, "nobody", 1); !errors.Is(err, ErrNoRoute) {
			t.Errorf("got %v", err)
		}
	})
}

// A dead letter that waited for its sink was not to be delivered any more; after
// a seek its event is.
func TestSeekAsksTheSubscriberAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 422, 200)
		w.answers(sinkURL, 503)
		w.apply(trigger("a", sink))
		w.publish("1")
		w.seek("a", 1, engine.Sought{Place: 1})
		time.Sleep(time.Hour)
		w.wantIDs(subscriberURL, "1", "1")
		s, _ := w.d.Route(t.Context(), broker, "a")
		if s.Counters.Delivered != 1 || s.Consumer.Lag != 0 {
			t.Errorf("the state is %+v", s)
		}
	})
}

// An attempt under way at a seek ends as it would. It holds up its own event and
// no other, and is not taken for the second coming's.
func TestSeekDuringAnAttempt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answer[subscriberURL] = func(_ context.Context, e *cloudevent.Event, nth int) deliver.Outcome {
			if e.ID() == "1" && nth == 0 {
				time.Sleep(time.Minute)
				return deliver.Outcome{Status: 200}
			}
			if nth == 1 {
				return deliver.Outcome{Status: 503}
			}
			return deliver.Outcome{Status: 200}
		}
		w.apply(trigger("a", retries(3)))
		w.publish("1")
		w.publish("2")
		w.seek("a", 1, engine.Sought{Place: 1, Again: 1})
		w.wantIDs(subscriberURL, "1", "2", "2")
		time.Sleep(time.Hour)
		w.wantIDs(subscriberURL, "1", "2", "2", "2", "1", "1")
		s, _ := w.d.Route(t.Context(), broker, "a")
		if s.Counters.Delivered != 4 || s.Consumer.Lag != 0 || s.LastError == "" {
			t.Errorf("the state is %+v", s)
		}
	})
}
