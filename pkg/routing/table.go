// Package routing is the routing table as plain values, and a Source of tables.
//
// A table is built by routing/build from Knative objects, published by a
// Source (files or a cluster) and read by the data plane. Nothing in a
// published Table is ever changed: a new state of the world is a new Table.
package routing

import (
	"context"
	"strings"
	"time"
)

// Kind says which Knative object a stream belongs to.
type Kind string

// The kinds of streams.
const (
	Broker  Kind = "broker"
	Channel Kind = "channel"
)

// StreamName names a stream: what a Broker or a channel is to the data plane.
type StreamName struct {
	Kind      Kind
	Namespace string
	Name      string
}

// String returns kind/namespace/name, the stream's name in an engine.
func (n StreamName) String() string { return string(n.Kind) + "/" + n.Namespace + "/" + n.Name }

// ParseStreamName reads what String writes.
func ParseStreamName(text string) (StreamName, bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 || (Kind(parts[0]) != Broker && Kind(parts[0]) != Channel) || parts[1] == "" || parts[2] == "" {
		return StreamName{}, false
	}
	return StreamName{Kind(parts[0]), parts[1], parts[2]}, true
}

// A Source publishes tables.
type Source interface {
	// Run publishes the present table, and a new one whenever something that
	// it shows has changed, until ctx ends. publish is called by one goroutine
	// at a time and Run returns only after the last call has returned. The
	// error is nil when ctx ended it.
	Run(ctx context.Context, publish func(*Table)) error
}

// Table is all streams and routes at one generation.
type Table struct {
	// Generation grows with every table that a Source publishes.
	Generation uint64
	// Streams by name. A route's pointer stays valid for as long as anybody
	// holds it (invariant 9).
	Streams map[StreamName]*Stream
	// Removed are the streams whose objects are being deleted, with the UIDs of
	// those objects: what is stored of them is to be deleted. A stream that is
	// merely not in the table is kept (docs/adr/0002).
	Removed map[StreamName]string
	// Problems are the objects that could not be taken as they are.
	Problems []Problem
	// Complete is true when every object was readable: only what is missing
	// from a complete table is really gone, and only then may its state be
	// removed.
	Complete bool
}

// Problem is one object or file that was not taken as it is.
type Problem struct {
	// File is the manifest, empty for objects of a cluster.
	File string
	// Object is "Kind namespace/name", empty when the file did not parse.
	Object string
	// Reason is one sentence, for a person.
	Reason string
}

// String returns "file: Kind namespace/name: reason".
func (p Problem) String() string {
	s := p.Reason
	if p.Object != "" {
		s = p.Object + ": " + s
	}
	if p.File != "" {
		s = p.File + ": " + s
	}
	return s
}

// Stream is a Broker or a channel.
type Stream struct {
	Name StreamName
	// UID is the object's, empty for manifests without one.
	UID string
	// Hosts are the host names, without port, under which a channel is reached.
	Hosts []string
	// Retention keeps records that every route has settled until they are this
	// old, for replay. Zero drops them at once.
	Retention time.Duration
	// Routes in the order of their IDs.
	Routes []*Route
}

// Route is one Trigger or one channel subscriber. A field that is added here
// later carries the tag json:",omitzero": routes that do without it keep their
// Fingerprint.
type Route struct {
	// ID names the route's consumer in the engine: unique in its stream and
	// the same across updates of the object.
	ID string
	// Kind is "Trigger" or "Subscription".
	Kind      string
	Namespace string
	Name      string
	// Stream is the stream the route reads.
	Stream StreamName

	Filter Filter
	// Subscriber receives the events. Nil when the object names none, which is
	// legal for a Subscription with a Reply: then the event itself goes there.
	Subscriber *Destination
	// Reply receives what the subscriber replies. Nil for a Trigger means back
	// into the Broker; nil for a Subscription means replies are dropped
	// (control-plane spec, Event Delivery).
	Reply    *Destination
	Delivery Delivery

	// MaxInFlight bounds the unsettled deliveries at once; at least 1.
	MaxInFlight int
	// Ordered keeps order per partitionkey, or per source where an event has
	// no partitionkey.
	Ordered bool
	// FromEarliest starts a new route at the oldest record kept instead of the
	// head. It says nothing about a route that already has a consumer.
	FromEarliest bool
	// Unresolved is the reason why the route cannot be served now, empty if it
	// can. An unresolved route that has a consumer keeps its place; one that
	// has none gets none, so that a Trigger that never worked cannot hold the
	// log.
	Unresolved string
}

// String returns "Kind namespace/name".
func (r *Route) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Destination is where an event can be sent.
type Destination struct {
	// URL is absolute, http or https.
	URL string
	// CACerts are PEM certificates trusted for URL besides the system's.
	CACerts string
	// Audience is the OIDC audience of the destination, empty for none.
	Audience string
	// Local names the stream of this same table that URL leads to, if any:
	// then the event is admitted to it without a hop over the network.
	Local *StreamName `json:"-"`
}

// Backoff is the policy by which the time before a retry grows.
type Backoff string

// The backoff policies of a DeliverySpec.
const (
	BackoffLinear      Backoff = "linear"
	BackoffExponential Backoff = "exponential"
)

// Format is the content mode in which events are sent.
type Format string

// The formats of a DeliverySpec. The zero value is binary.
const (
	FormatBinary Format = "binary"
	FormatJSON   Format = "json"
)

// Delivery is a DeliverySpec, complete: parsed, and with what was inherited
// from the Broker or channel.
type Delivery struct {
	// Retry is how often a failed delivery is tried again; 0 is never.
	Retry   int
	Backoff Backoff
	// BackoffDelay is the unit of the policy.
	BackoffDelay time.Duration
	// Timeout bounds one attempt; 0 means the data plane's default.
	Timeout time.Duration
	// RetryAfterMax caps a Retry-After header of the subscriber. Nil means the
	// data plane's default cap; zero ignores the header.
	RetryAfterMax *time.Duration
	Format        Format
	// DeadLetterSink receives what cannot be delivered. Nil keeps it in the
	// route's own dead letters.
	DeadLetterSink *Destination
}

// Filter selects events. Filters, if there are any, override Attributes.
type Filter struct {
	// Attributes must all be equal; "" means any value that is not empty.
	Attributes map[string]string
	// Filters must all be true.
	Filters []Expr
}

// Expr is one filter of the CloudEvents Subscriptions API. Exactly one field
// is set; an Expr without any is true.
type Expr struct {
	All    []Expr
	Any    []Expr
	Not    *Expr
	Exact  map[string]string
	Prefix map[string]string
	Suffix map[string]string
	CESQL  string
}
