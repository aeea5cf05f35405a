package crash

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// effect is how long a change of the manifests may take: a second, and what a
// busy machine adds.
const effect = time.Second + 500*time.Millisecond

// expectation is how often the events must come to one place.
type expectation struct {
	name   string
	counts func() map[string]int
	// times is how often at least and at most an acknowledged event must come;
	// one that was not acknowledged may be missing.
	times func(id string, sent time.Time) (least, most int)
}

// unmet says which expectations are not met, without or with what came too
// often.
func (l *ledger) unmet(all []expectation, tooOften bool) (wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range all {
		counts := e.counts()
		for _, r := range l.requests {
			for _, id := range r.ids {
				least, most := e.times(id, r.at)
				if n := counts[id]; r.acked && n < least || tooOften && n > most {
					wrong = append(wrong, fmt.Sprintf("%s: %s came %d times, must come %d to %d times", e.name, id, n, least, most))
				}
			}
		}
	}
	return wrong
}

func exactly(n int) func(string, time.Time) (int, int) {
	return func(string, time.Time) (int, int) { return n, n }
}

// from expects n of each event that was sent when a change at that time had
// taken effect, and none or n of the others.
func from(at *time.Time, n int) func(string, time.Time) (int, int) {
	return func(_ string, sent time.Time) (int, int) {
		if sent.After(at.Add(effect)) {
			return n, n
		}
		return 0, n
	}
}

// until expects no event that was sent after a change had taken effect.
func until(at *time.Time) func(string, time.Time) (int, int) {
	return func(_ string, sent time.Time) (int, int) {
		if sent.After(at.Add(effect)) {
			return 0, 0
		}
		return 0, 1
	}
}

func both(a, b *receiver) func() map[string]int {
	return func() map[string]int {
		sum := a.counts()
		for id, n := range b.counts() {
			sum[id] += n
		}
		return sum
	}
}

// failOnce fails each event's first attempt.
func failOnce(w http.ResponseWriter, _ string, times int) {
	if times == 1 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// changeWorld is a Broker whose Triggers are changed under load, each in
// another way.
type changeWorld struct {
	*lives
	steady, flaky, before, after, some, added, removed *receiver

	moved, widened, addedAt, removedAt time.Time
}

func newChangeWorld(t *testing.T) *changeWorld {
	r := func(name string) *receiver { return newReceiver(t, name, accept) }
	w := &changeWorld{
		steady: r("steady"), flaky: newReceiver(t, "flaky", failOnce), before: r("before"), after: r("after"),
		some: r("some"), added: r("added"), removed: r("removed"),
	}
	w.lives = newLives(t, harness.Broker("orders"))
	w.apply("steady.yaml", harness.Trigger("steady", "orders", w.steady.url))
	w.apply("flaky.yaml", w.flakyTrigger(3, 100))
	w.apply("moved.yaml", harness.Trigger("moved", "orders", w.before.url))
	w.apply("some.yaml", harness.Trigger("some", "orders", w.some.url, "filters: [{cesql: \"id LIKE '%0'\"}]"))
	w.apply("removed.yaml", harness.Trigger("removed", "orders", w.removed.url))
	return w
}

func (w *changeWorld) flakyTrigger(retry, inFlight int) string {
	return harness.Annotated(harness.Trigger("flaky", "orders", w.flaky.url, fmt.Sprintf(
		"delivery: {retry: %d, backoffPolicy: exponential, backoffDelay: PT0.2S}", retry)),
		fmt.Sprintf("leat.dev/max-in-flight: '%d'", inFlight))
}

func (w *changeWorld) expectations() []expectation {
	return []expectation{
		{"a Trigger whose file breaks", w.steady.counts, exactly(1)},
		{"a Trigger whose retries change", w.flaky.counts, exactly(2)},
		{"a Trigger that moves", both(w.before, w.after), exactly(1)},
		{"the place that it moves from", w.before.counts, until(&w.moved)},
		{"the place that it moves to", w.after.counts, from(&w.moved, 1)},
		{"a Trigger whose filter widens", w.some.counts, w.someTimes},
		{"a Trigger that is added", w.added.counts, from(&w.addedAt, 1)},
		{"a Trigger that is removed", w.removed.counts, until(&w.removedAt)},
	}
}

// someTimes: ids that end with 0 match at all times, those with 5 when the
// filter is wide.
func (w *changeWorld) someTimes(id string, sent time.Time) (least, most int) {
	switch {
	case strings.HasSuffix(id, "0"):
		return 1, 1
	case strings.HasSuffix(id, "5"):
		return from(&w.widened, 1)(id, sent)
	}
	return 0, 0
}

// Manifests change while events come in: nothing in flight is lost, nothing is
// repeated, and each change has its effect within a second.
func TestChangesUnderLoad(t *testing.T) {
	t.Parallel()
	r := random(t)
	w := newChangeWorld(t)
	w.start()
	events := newLedger()
	senders := startLoad(t, events, orders)
	senders.aim(w.URL)
	for _, change := range []func(){
		func() { w.apply("flaky.yaml", w.flakyTrigger(5, 2)) },
		func() {
			w.apply("moved.yaml", harness.Trigger("moved", "orders", w.after.url))
			w.moved = time.Now()
		},
		func() { w.apply("steady.yaml", "apiVersion: [this is no\n\tmanifest") },
		func() {
			w.apply("some.yaml", harness.Trigger("some", "orders", w.some.url, "filters: [{cesql: \"id LIKE '%0' OR id LIKE '%5'\"}]"))
			w.widened = time.Now()
		},
		func() {
			w.apply("added.yaml", harness.Trigger("added", "orders", w.added.url))
			w.addedAt = time.Now()
		},
		func() { w.apply("flaky.yaml", w.flakyTrigger(4, 50)) },
		func() { w.apply("removed.yaml", ""); w.removedAt = time.Now() },
		func() { w.apply("steady.yaml", harness.Trigger("steady", "orders", w.steady.url)) },
	} {
		time.Sleep(between(r, 20*time.Millisecond, 400*time.Millisecond))
		change()
	}
	time.Sleep(effect + 500*time.Millisecond)
	senders.end()
	settle(t, func() []string { return events.unmet(w.expectations(), false) })
	if !w.Log.Contains("steady.yaml") {
		t.Error("the log says nothing of the broken file")
	}
	w.stop()
	report(t, events.unmet(w.expectations(), true))
	t.Logf("8 changes, %d events acknowledged", events.acked)
}
