package dispatch

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	subscriberURL = "http://subscriber.example"
	replyURL      = "http://reply.example"
	sinkURL       = "http://sink.example"
)

// broker and other are two streams.
var (
	broker = routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: "default"}
	other  = routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: "other"}
)

// sent is one attempt that somebody has received.
type sent struct {
	url    string
	event  cloudevent.Event
	prefer bool
	at     time.Duration // since the world began
}

func (s sent) attr(name string) string {
	v, _ := s.event.Get(name)
	return v
}

// world is a data plane without HTTP and disk.
type world struct {
	t       *testing.T
	engine  *fakeEngine
	streams map[routing.StreamName]engine.Stream
	d       *Dispatcher
	began   time.Time

	mu      sync.Mutex
	answer  map[string]func(ctx context.Context, e *cloudevent.Event, nth int) deliver.Outcome
	log     []sent
	settled []string
}

// inWorld runs a test in a world where time passes when all wait.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, engine: newFakeEngine(), streams: map[routing.StreamName]engine.Stream{}, began: time.Now(),
			answer: map[string]func(context.Context, *cloudevent.Event, int) deliver.Outcome{},
		}
		for _, name := range []routing.StreamName{broker, other} {
			w.streams[name], _ = w.engine.Stream(t.Context(), engine.StreamSpec{Name: name.String()})
		}
		w.restart()
		defer func() { w.close(0) }()
		f(t, w)
	})
}

// restart begins with a new Dispatcher on the same engine.
func (w *world) restart() {
	w.d = New(Options{
		Engine: w.engine, Sender: w, Gate: w,
		Status: func(err error) int {
			if errors.Is(err, errTooBig) {
				return http.StatusRequestEntityTooLarge
			}
			return http.StatusInsufficientStorage
		},
		Observe: func(*routing.Route) RouteObserver { return w },
	})
}

var errTooBig = errors.New("the event is too big")

// close stops the Dispatcher, giving deliveries the time to end.
func (w *world) close(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := w.d.Close(ctx); err != nil {
		w.t.Errorf("Close: %v", err)
	}
}

func (w *world) Send(ctx context.Context, to *routing.Destination, e *cloudevent.Event, o deliver.SendOptions) deliver.Outcome {
	w.mu.Lock()
	nth := 0
	for _, s := range w.log {
		if s.url == to.URL && s.event.ID() == e.ID() {
			nth++
		}
	}
	w.log = append(w.log, sent{to.URL, *e, o.PreferReply, time.Since(w.began)})
	answer := w.answer[to.URL]
	w.mu.Unlock()
	if answer == nil {
		return deliver.Outcome{Status: http.StatusOK}
	}
	return answer(ctx, e, nth)
}

func (w *world) Admit(ctx context.Context, to routing.StreamName, hops int, e cloudevent.Event) error {
	if e.Type() == "too-big" {
		return errTooBig
	}
	e.SetInt(ttlAttribute, int32(hops))
	_, err := w.streams[to].Append(ctx, payload(&e))
	return err
}

func (w *world) Attempted(string, int, time.Duration, time.Duration) {}

func (w *world) Settled(result string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled = append(w.settled, result)
}

// answers makes a destination answer these statuses in turn for each event,
// the last one for ever; 0 is no answer.
func (w *world) answers(url string, statuses ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[url] = func(_ context.Context, _ *cloudevent.Event, nth int) deliver.Outcome {
		status := statuses[min(nth, len(statuses)-1)]
		o := deliver.Outcome{Status: status, Took: time.Millisecond}
		if status == 0 {
			o.Err = errors.New("connection refused")
		}
		if status >= 300 {
			o.Body = []byte("no")
		}
		return o
	}
}

// replies makes the subscriber answer 200 with an event "reply-to-ID".
func (w *world) replies(typ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[subscriberURL] = func(_ context.Context, e *cloudevent.Event, _ int) deliver.Outcome {
		reply := event("reply-to-" + e.ID())
		reply.Set("type", typ)
		return deliver.Outcome{Status: http.StatusOK, Reply: &reply}
	}
}

// hangs makes a destination answer 200 after d, unless it is cut off.
func (w *world) hangs(url string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[url] = func(ctx context.Context, _ *cloudevent.Event, _ int) deliver.Outcome {
		if !pause(ctx, d) {
			return deliver.Outcome{Err: ctx.Err()}
		}
		return deliver.Outcome{Status: http.StatusOK}
	}
}

func (w *world) failAppends(f func(stream string) error) {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	w.engine.failAppend = f
}

func event(id string) cloudevent.Event {
	var e cloudevent.Event
	e.Set("id", id)
	e.Set("source", "/test")
	e.Set("type", "t")
	return e
}

// publish stores events as the gate would.
func (w *world) publish(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.publishEvent(event(id), 255)
	}
}

func (w *world) publishEvent(e cloudevent.Event, ttl int32) {
	w.t.Helper()
	e.SetInt(ttlAttribute, ttl)
	if _, err := w.streams[broker].Append(w.t.Context(), payload(&e)); err != nil {
		w.t.Fatal(err)
	}
}

// trigger returns a route of the broker, changed by the options.
func trigger(id string, change ...func(*routing.Route)) *routing.Route {
	r := &routing.Route{
		ID: id, Kind: "Trigger", Namespace: "ns", Name: id, Stream: broker, MaxInFlight: 10,
		Subscriber: &routing.Destination{URL: subscriberURL},
		Delivery:   routing.Delivery{Backoff: routing.BackoffExponential, BackoffDelay: time.Second},
	}
	for _, c := range change {
		c(r)
	}
	return r
}

func subscription(id string, change ...func(*routing.Route)) *routing.Route {
	r := trigger(id)
	r.Kind = "Subscription"
	for _, c := range change {
		c(r)
	}
	return r
}

func retries(n int) func(*routing.Route) { return func(r *routing.Route) { r.Delivery.Retry = n } }

func sink(r *routing.Route) { r.Delivery.DeadLetterSink = &routing.Destination{URL: sinkURL} }

func replyTo(r *routing.Route) { r.Reply = &routing.Destination{URL: replyURL} }

func onlyType(typ string) func(*routing.Route) {
	return func(r *routing.Route) { r.Filter.Attributes = map[string]string{"type": typ} }
}

func tableOf(complete bool, routes ...*routing.Route) *routing.Table {
	streams := map[routing.StreamName]*routing.Stream{}
	for _, name := range []routing.StreamName{broker, other} {
		streams[name] = &routing.Stream{Name: name}
	}
	for _, r := range routes {
		streams[r.Stream].Routes = append(streams[r.Stream].Routes, r)
	}
	return &routing.Table{Streams: streams, Complete: complete}
}

// apply applies a complete table of these routes.
func (w *world) apply(routes ...*routing.Route) {
	w.t.Helper()
	w.applyTable(tableOf(true, routes...))
}

func (w *world) applyTable(table *routing.Table) {
	w.t.Helper()
	if err := w.d.Apply(w.t.Context(), table, w.streams); err != nil {
		w.t.Fatalf("Apply: %v", err)
	}
}

// received returns what a destination has received so far, after letting all
// that can happen without time passing happen.
func (w *world) received(url string) []sent {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []sent
	for _, s := range w.log {
		if s.url == url {
			got = append(got, s)
		}
	}
	return got
}

// wantIDs checks what a destination has received, in any order.
func (w *world) wantIDs(url string, want ...string) {
	w.t.Helper()
	got := []string{}
	for _, s := range w.received(url) {
		got = append(got, s.event.ID())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s received %v, want %v", url, got, want)
	}
}

// lag is how many records of the broker a route has not settled.
func (w *world) lag(id string) int {
	w.t.Helper()
	synctest.Wait()
	s, ok := w.d.Route(w.t.Context(), broker, id)
	if !ok {
		w.t.Fatalf("there is no route %s", id)
	}
	return int(s.Consumer.Lag)
}

func (w *world) wantLag(id string, want int) {
	w.t.Helper()
	if got := w.lag(id); got != want {
		w.t.Errorf("%s has %d unsettled records, want %d", id, got, want)
	}
}

func (w *world) counters(id string) Counters {
	s, _ := w.d.Route(w.t.Context(), broker, id)
	return s.Counters
}

// stored returns the events of a stream that are kept.
func (w *world) stored(name string) []cloudevent.Event {
	w.t.Helper()
	s, _ := w.engine.Stream(w.t.Context(), engine.StreamSpec{Name: name})
	records, _ := s.Read(w.t.Context(), 1, 1000)
	var events []cloudevent.Event
	for _, r := range records {
		e, err := cloudevent.Decode(r.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func (w *world) deadLetters(id string) []cloudevent.Event {
	w.t.Helper()
	synctest.Wait()
	return w.stored(DeadLetterStream(broker, id))
}

func attr(e cloudevent.Event, name string) string {
	v, _ := e.Get(name)
	return v
}
