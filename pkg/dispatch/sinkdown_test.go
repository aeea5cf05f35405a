package dispatch

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/routing"
)

// downUntil makes the dead letter sink refuse connections for a time.
func (w *world) downUntil(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[sinkURL] = func(context.Context, *cloudevent.Event, int) deliver.Outcome {
		if time.Since(w.began) < d {
			return deliver.Outcome{Err: fmt.Errorf("connection refused")}
		}
		return deliver.Outcome{Status: 202}
	}
}

// A dead letter sink is down for an hour, and the process dies in the middle of
// it. Every dead letter is parked, shown, and arrives when the sink is back,
// once; it holds neither a slot nor a goroutine, is not offered in a storm, and
// other events of the route pass.
func TestSinkIsDownForAnHour(t *testing.T) {
	const n = 300
	inWorld(t, func(t *testing.T, w *world) {
		w.answer[subscriberURL] = func(_ context.Context, e *cloudevent.Event, _ int) deliver.Outcome {
			if strings.HasPrefix(e.ID(), "bad") {
				return deliver.Outcome{Status: 422, Body: []byte("no")}
			}
			return deliver.Outcome{Status: 200}
		}
		w.downUntil(time.Hour)
		w.apply(trigger("a", sink))
		synctest.Wait()
		idle := runtime.NumGoroutine()

		var bad []string
		for i := range n {
			bad = append(bad, fmt.Sprint("bad", i))
			w.publish(bad[i])
		}
		for minute := range 59 {
			time.Sleep(time.Minute)
			id := fmt.Sprint("good", minute)
			w.publish(id)
			synctest.Wait()
			s, _ := w.d.Route(t.Context(), broker, "a")
			if s.Consumer.Parked+s.Consumer.InFlight != n || s.Consumer.Lag != n {
				t.Fatalf("minute %d: the state is %+v", minute, s)
			}
			restarted := minute > 30 && minute < 37 // each has been offered again by then
			if !restarted && !strings.Contains(s.LastError, "connection refused") {
				t.Errorf("minute %d: the route shows %q", minute, s.LastError)
			}
			if s.Consumer.InFlight > 0 || s.DeadLetters > 0 {
				t.Errorf("minute %d: %d in flight, %d in the route's own dead letters", minute, s.Consumer.InFlight, s.DeadLetters)
			}
			if more := runtime.NumGoroutine() - idle; more > 10 { // a crew has ten at most
				t.Errorf("minute %d: %d goroutines more than without dead letters", minute, more)
			}
			if got := w.received(subscriberURL); got[len(got)-1].event.ID() != id {
				t.Errorf("minute %d: %s is not delivered", minute, id)
			}
			if minute == 30 {
				w.close(time.Minute)
				w.restart()
				w.apply(trigger("a", sink))
			}
		}
		offered := len(w.received(sinkURL))
		if most := n * 30; offered > most {
			t.Errorf("the sink was asked %d times in an hour, want at most %d", offered, most)
		}
		// Down for one more minute, then the longest delay and its jitter.
		time.Sleep(time.Minute + maxSinkDelay + maxSinkDelay/10)
		w.wantLag("a", 0)
		var arrived []string
		for _, s := range w.received(sinkURL) {
			if s.at >= time.Hour {
				arrived = append(arrived, s.event.ID())
				if s.attr(errorDest) != subscriberURL {
					t.Errorf("%s arrived with %s %q", s.event.ID(), errorDest, s.attr(errorDest))
				}
			}
		}
		if len(arrived) != n {
			t.Errorf("%d dead letters arrived, want %d", len(arrived), n)
		}
		for _, id := range bad {
			if c := strings.Count(strings.Join(arrived, " ")+" ", id+" "); c != 1 {
				t.Errorf("%s arrived %d times", id, c)
			}
		}
		t.Logf("%d dead letters were offered %d times in the hour", n, offered)
	})
}

// A sink that hangs for an hour holds no more slots than retries may have:
// whenever an event comes that has nothing to do with it, it is delivered at
// once.
func TestSinkHangsForAnHour(t *testing.T) {
	const n = 50
	inWorld(t, func(t *testing.T, w *world) {
		w.answer[subscriberURL] = func(_ context.Context, e *cloudevent.Event, _ int) deliver.Outcome {
			if strings.HasPrefix(e.ID(), "bad") {
				return deliver.Outcome{Status: 422}
			}
			return deliver.Outcome{Status: 200}
		}
		w.answer[sinkURL] = func(ctx context.Context, _ *cloudevent.Event, _ int) deliver.Outcome {
			pause(ctx, 5*time.Minute)
			return deliver.Outcome{Err: context.DeadlineExceeded}
		}
		w.apply(trigger("a", sink))
		for i := range n {
			w.publish(fmt.Sprint("bad", i))
		}
		// First attempts have their slots all to themselves, ten at a time.
		time.Sleep(n / 2 * 5 * time.Minute)
		for minute := range 60 {
			id := fmt.Sprint("good", minute)
			w.publish(id)
			if got := w.received(subscriberURL); got[len(got)-1].event.ID() != id {
				t.Fatalf("minute %d: %s waits", minute, id)
			}
			time.Sleep(time.Minute)
		}
		w.wantLag("a", n)
		w.downUntil(0)
		time.Sleep(5*time.Minute + 2*maxSinkDelay)
		w.wantLag("a", 0)
	})
}

// A password in an address goes neither into events nor to an operator, and
// what failed there is still delivered there again.
func TestAddressesAreShownWithoutUser(t *testing.T) {
	const (
		secretSubscriber = "http://me:secret@subscriber.example"
		secretReply      = "http://me:secret@reply.example"
	)
	inWorld(t, func(t *testing.T, w *world) {
		w.answer[secretSubscriber] = func(_ context.Context, e *cloudevent.Event, _ int) deliver.Outcome {
			if e.ID() == "bad" {
				return deliver.Outcome{Status: 422}
			}
			reply := event("reply-to-" + e.ID())
			return deliver.Outcome{Status: 200, Reply: &reply}
		}
		w.answers(secretReply, 422, 200)
		w.apply(subscription("a", replyTo, func(r *routing.Route) {
			r.Subscriber.URL, r.Reply.URL = secretSubscriber, secretReply
		}))
		for _, id := range []string{"bad", "good"} {
			w.publish(id)
			letters := w.deadLetters("a")
			s, _ := w.d.Route(t.Context(), broker, "a")
			if dest := attr(letters[len(letters)-1], errorDest); strings.Contains(dest+s.LastError, "secret") || !strings.HasPrefix(dest, "http://") {
				t.Errorf("the dead letter has %s %q, the route shows %q", errorDest, dest, s.LastError)
			}
		}
		if got, err := w.d.Redrive(t.Context(), broker, "a", 0); err != nil || got.Delivered != 1 || got.Failed != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		w.wantIDs(secretSubscriber, "bad", "good", "bad")
		w.wantIDs(secretReply, "reply-to-good", "reply-to-good")
	})
}
