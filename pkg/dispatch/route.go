package dispatch

import (
	"strconv"
	"strings"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/filter"
	"leat.dev/leat/pkg/routing"
)

// bound is one generation of a route with all that is made of it once. A
// delivery loads it once and uses it from filter to settle (invariant 9).
type bound struct {
	route  *routing.Route
	filter *filter.Filter
	// mistake is what is wrong with the filter, empty if nothing is.
	mistake string
	spec    engine.ConsumerSpec
	// fingerprint is the route's.
	fingerprint string
	// first receives the events: the subscriber, or without one the reply.
	first *routing.Destination
	// second receives the replies; nil drops them.
	second  *routing.Destination
	observe RouteObserver
}

func bind(r *routing.Route, observe func(*routing.Route) RouteObserver) *bound {
	f, err := filter.Compile(r.Filter)
	b := &bound{route: r, filter: f, first: r.Subscriber, second: r.Reply, observe: observe(r), fingerprint: r.Fingerprint()}
	if err != nil {
		b.mistake = bounded("filter: " + err.Error())
	}
	switch {
	case r.Subscriber == nil:
		b.first, b.second = r.Reply, nil
	case r.Reply == nil && r.Kind == "Trigger":
		b.second = &routing.Destination{URL: r.Stream.String(), Local: &r.Stream}
	}
	b.spec = engine.ConsumerSpec{
		Name:         r.ID,
		FromEarliest: r.FromEarliest,
		MaxInFlight:  max(r.MaxInFlight, 1),
		Ordered:      r.Ordered,
		Interest:     engine.Interest(f.Interest()),
	}
	return b
}

// pumped reports whether the route can be served now.
func (b *bound) pumped() bool { return b.route.Unresolved == "" && b.first != nil }

// maxError bounds the text of a route's last error, in bytes.
const maxError = 256

func bounded(s string) string {
	if len(s) > maxError {
		s = s[:maxError-3] + "..."
	}
	return strings.ToValidUTF8(s, "")
}

// ttlAttribute counts how often an event may still enter a stream.
const ttlAttribute = "knativebrokerttl"

// defaultTTL is what an event without the attribute has left.
const defaultTTL = 255

// hopsAfter is what an event that comes of e may have left: one less than e,
// so that hops strictly fall (invariant 8). There is none at 0 or below.
func hopsAfter(e *cloudevent.Event) int {
	if text, ok := e.Get(ttlAttribute); ok {
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return int(n) - 1
		}
	}
	return defaultTTL - 1
}

// showsHops is whether an event leaves us with its hops. A Broker's count is
// its own: no subscriber or dead letter sink sees it. A channel may be a pipe
// between others who count, such as the halves of Knative's own broker, which
// drops what comes without a count. So it passes on the hops of what came with
// some; what came with none has them all.
func showsHops(r *routing.Route, e *cloudevent.Event) bool {
	text, ok := e.Get(ttlAttribute)
	return ok && r.Kind != "Trigger" && text != strconv.Itoa(defaultTTL)
}

// RouteObserver is told what becomes of one route's deliveries. Its methods
// are called concurrently, on the hot path, and must be quick.
type RouteObserver interface {
	// Attempted reports one attempt to deliver to the subscriber: the type of
	// the event, the HTTP status or 0 if there was no answer, how long the
	// event was worked on before it was sent, and how long the attempt took.
	Attempted(eventType string, status int, processing, took time.Duration)
	// Settled reports what became of a delivery, one of the results below.
	Settled(result string)
}

// The results of a delivery.
const (
	// Filtered events do not match.
	Filtered = "filtered"
	// Delivered events were accepted, their reply is safe.
	Delivered = "delivered"
	// Retried deliveries failed and come back later.
	Retried = "retried"
	// DeadLettered events are safe in the dead letter sink or in the route's
	// own dead letters.
	DeadLettered = "deadlettered"
	// SinkFailed dead letters could not be stored yet and come back later.
	SinkFailed = "sinkfailed"
	// Held deliveries found our own store without room and come back soon.
	Held = "held"
)

type noObserver struct{}

func (noObserver) Attempted(string, int, time.Duration, time.Duration) {}
func (noObserver) Settled(string)                                      {}
