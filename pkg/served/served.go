// Package served is how a data plane tells what it serves, and how a
// controller asks: a snapshot over HTTP, server and client together.
//
// A controller must not take a Trigger for ready because it has told somebody
// about it. The data plane reads the cluster's objects itself; this room lets
// it say which of them it has taken up, and in which state.
//
//	GET /v1/served                            the snapshot
//	GET /v1/served?instance=ID&version=N      the same, once it is another one, or 204 after half a minute
package served

import "leat.dev/leat/pkg/routing"

// Snapshot is what one life of a data plane serves at one moment.
type Snapshot struct {
	// Instance is another one after every start.
	Instance string `json:"instance"`
	// Version grows with every change.
	Version uint64 `json:"version"`
	// Streams take events now, by routing.StreamName.String.
	Streams map[string]Stream `json:"streams"`
	// Removed are the streams, with the UID of their object, of which nothing is
	// stored any more. It has those of routing.Table.Removed alone.
	Removed map[string]string `json:"removed"`
}

// Stream is one that takes events.
type Stream struct {
	// UID is that of the Broker or channel.
	UID string `json:"uid"`
	// Routes have a place in the stream and are delivered to, by
	// routing.Route.ID.
	Routes map[string]Route `json:"routes"`
}

// Route is one that is delivered to.
type Route struct {
	// Fingerprint is routing.Route.Fingerprint of what is served.
	Fingerprint string `json:"fingerprint"`
	// Problem is why the route gets fewer events than its object says, such as
	// a mistake in its filter; empty if all is well.
	Problem string `json:"problem,omitempty"`
}

// State is what is known about a stream or route.
type State int

// The states.
const (
	// Unknown: the data plane has not been asked yet since this process began,
	// and not for long. What a status says is best left as it is.
	Unknown State = iota
	// Away: the data plane has not answered for longer than a restart takes.
	Away
	// Pending: the data plane has answered, but does not serve it like that
	// yet.
	Pending
	// Failed: the data plane serves it, but not as the object says.
	Failed
	// Serving: it is served like that.
	Serving
)

// Verdict is a State, and for Failed and Away the reason, one sentence for a
// person.
type Verdict struct {
	State  State
	Reason string
}

// Asker answers what the data plane serves, from what it said last. It does
// not block.
type Asker interface {
	// Stream is about the stream of a Broker or channel with that UID.
	Stream(name routing.StreamName, uid string) Verdict
	// Route is about a route exactly like r in the stream of a Broker or
	// channel with that UID.
	Route(streamUID string, r *routing.Route) Verdict
	// Removed reports whether nothing is stored any more of the stream whose
	// object, with that UID, is being deleted.
	Removed(name routing.StreamName, uid string) bool
}
