package ingress

import (
	"strconv"

	"leat.dev/leat/pkg/cloudevent"
)

// hopsAttribute counts down how often an event and what comes of it may still
// enter a stream, so that no loop of Triggers, channels and replies is endless
// (invariant 8). Knative counts for Brokers; we count for channels as well. In
// a stream the attribute is always there and at least 1.
const hopsAttribute = "knativebrokerttl"

// MaxHops is what an event from outside gets at most, and gets if it says
// nothing.
const MaxHops = 255

// Hops is what an event has left when it enters a stream. The zero value is
// FromOutside.
type Hops struct {
	inside bool
	n      int
}

// FromOutside is for an event that a client sent: what its attribute says less
// one, or MaxHops where it says nothing or nothing that is a number.
func FromOutside() Hops { return Hops{} }

// Left is for an event that comes of one of our own records: n must be less
// than what that one had.
func Left(n int) Hops { return Hops{inside: true, n: n} }

// left returns what to write into the event, or ErrHops.
func (h Hops) left(e *cloudevent.Event) (int32, error) {
	n := h.n
	if !h.inside {
		n = hopsOutside(e)
	}
	if n < 1 {
		return 0, ErrHops
	}
	return int32(min(n, MaxHops)), nil
}

func hopsOutside(e *cloudevent.Event) int {
	text, ok := e.Get(hopsAttribute)
	if !ok {
		return MaxHops
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return MaxHops
	}
	return int(n) - 1
}
