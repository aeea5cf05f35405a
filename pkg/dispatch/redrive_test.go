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

func TestRedrive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 400)
		w.apply(trigger("a"))
		for i, id := range []string{"1", "2", "3"} {
			w.publish(id)
			if n := len(w.deadLetters("a")); n != i+1 { // one after the other: the order matters here
				t.Fatalf("there are %d dead letters", n)
			}
		}
		w.answer[subscriberURL] = func(_ context.Context, e *cloudevent.Event, _ int) deliver.Outcome {
			if _, marked := e.Get(errorCode); marked {
				t.Errorf("the subscriber received %v", e)
			}
			if e.ID() == "1" {
				return deliver.Outcome{Status: 503}
			}
			return deliver.Outcome{Status: 200}
		}
		got, err := w.d.Redrive(t.Context(), broker, "a", 2)
		if want := (Redriven{Delivered: 1, Failed: 1, LastError: subscriberURL + " answered 503 Service Unavailable"}); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		letters := w.deadLetters("a")
		if len(letters) != 2 || letters[0].ID() != "3" || letters[1].ID() != "1" || attr(letters[1], errorCode) != "503" {
			t.Errorf("dead letters are %v", letters)
		}
		if attr(letters[1], ttlAttribute) != "255" {
			t.Errorf("a dead letter has lost its hops: %v", letters[1])
		}
	})
}

// A reply that is a dead letter goes where it could not be delivered, and not
// to the subscriber that made it.
func TestRedriveOfAReply(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.replies("r")
		w.answers(replyURL, 400)
		w.apply(subscription("a", replyTo))
		w.publish("1")
		if n := len(w.deadLetters("a")); n != 1 {
			t.Fatalf("there are %d dead letters", n)
		}
		w.answers(replyURL, 200)
		if got, err := w.d.Redrive(t.Context(), broker, "a", 0); err != nil || got.Delivered != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		w.wantIDs(subscriberURL, "1")
		w.wantIDs(replyURL, "reply-to-1", "reply-to-1")
		if n := len(w.deadLetters("a")); n != 0 {
			t.Errorf("%d dead letters are left", n)
		}
	})
}

// What cannot be stored again is not dropped.
func TestRedriveIsSafe(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 400)
		w.apply(trigger("a"))
		w.publish("1")
		if n := len(w.deadLetters("a")); n != 1 {
			t.Fatalf("there are %d dead letters", n)
		}
		w.failAppends(func(string) error { return engine.ErrFull })
		if _, err := w.d.Redrive(t.Context(), broker, "a", 0); !errors.Is(err, engine.ErrFull) {
			t.Errorf("got %v", err)
		}
		w.hangs(subscriberURL, time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := w.d.Redrive(ctx, broker, "a", 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := len(w.deadLetters("a")); n != 1 {
			t.Errorf("%d dead letters are left, want 1", n)
		}
		if _, err := w.d.Redrive(t.Context(), broker, "nobody", 0); !errors.Is(err, ErrNoRoute) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDeadLettersAreCounted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.answers(subscriberURL, 400)
		w.apply(trigger("a"))
		synctest.Wait()
		if s, _ := w.d.Route(t.Context(), broker, "a"); s.DeadLetters != 0 {
			t.Errorf("there are %d dead letters, want 0", s.DeadLetters)
		}
		if names, _ := w.engine.Streams(t.Context()); len(names) != 2 {
			t.Errorf("looking has created streams: %v", names)
		}
		w.publish("1", "2")
		synctest.Wait()
		if states := w.d.Routes(t.Context()); len(states) != 1 || states[0].DeadLetters != 2 {
			t.Errorf("the states are %+v, want 2 dead letters", states)
		}
	})
}

func TestDeadLetterStreamNames(t *testing.T) {
	name := DeadLetterStream(broker, "trigger/ns/a")
	stream, route, ok := ParseDeadLetterStream(name)
	if !ok || stream != broker || route != "trigger/ns/a" {
		t.Errorf("%s is of %v and %s, %v", name, stream, route, ok)
	}
	for _, name := range []string{"", "dead/", broker.String(), "dead/broker/ns/default"} {
		if _, _, ok := ParseDeadLetterStream(name); ok {
			t.Errorf("%q is taken for dead letters", name)
		}
	}
}
