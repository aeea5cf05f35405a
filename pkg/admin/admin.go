// Package admin is the operator's API, server and client together: streams and
// routes with their state, to move a route, dead letters to look at, re-drive and
// drop.
//
//	GET    /healthz                                                  the process lives
//	GET    /readyz                                                   200, or 503 with the reasons
//	GET    /metrics                                                  for Prometheus
//	GET    /v1/problems                                              objects that were not taken as they are
//	GET    /v1/streams                                               all streams
//	GET    /v1/streams/{namespace}/{name}                            one stream and its routes
//	DELETE /v1/streams/{namespace}/{name}                            deletes one that is gone from the table
//	GET    /v1/streams/{namespace}/{name}/routes/{route...}          one route
//	POST   /v1/streams/{namespace}/{name}/seek/{route...}            moves it ?to=earliest, latest, a SEQ or a time
//	GET    /v1/streams/{namespace}/{name}/deadletters/{route...}     its dead letters; ?from=SEQ &limit=N &data=true
//	DELETE /v1/streams/{namespace}/{name}/deadletters/{route...}     drops those up to ?to=SEQ
//	POST   /v1/streams/{namespace}/{name}/redrive/{route...}         delivers those up to ?to=SEQ, or all, again
//	GET    /v1/deadletters                                           every store of dead letters, also of routes that are gone
//
// ?kind=broker or ?kind=channel says which stream is meant where both have the
// name. A route is named by its ID, or by its name if that is enough. Answers
// are JSON; errors are {"error": "what happened, and what to do"}. What an
// event carries is shown only where data=true asks for it.
package admin

import (
	"encoding/json"
	"time"

	"leat.dev/leat/pkg/engine"
)

// Stream is a Broker or channel.
type Stream struct {
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	UID       string   `json:"uid,omitempty"`
	Hosts     []string `json:"hosts,omitempty"`
	// Retention is a duration as Go writes it, empty for none.
	Retention string `json:"retention,omitempty"`
	// First is the oldest record kept, Head the newest. There are Records.
	First   engine.Seq `json:"first"`
	Head    engine.Seq `json:"head"`
	Records uint64     `json:"records"`
	Oldest  *time.Time `json:"oldest,omitempty"`
	// Problem is why the state could not be read.
	Problem string `json:"problem,omitempty"`
	// Gone is true when it is stored and not in the present table. It takes and
	// delivers nothing, keeps its events, and goes on when it comes back.
	Gone bool `json:"gone,omitempty"`
	// RouteCount routes have together Lag unsettled events and DeadLetters.
	RouteCount  int    `json:"routeCount"`
	Lag         uint64 `json:"lag"`
	DeadLetters uint64 `json:"deadLetters"`
	// Routes are there when one stream is asked for.
	Routes []Route `json:"routes,omitempty"`
}

// Route is a Trigger or a channel's subscriber.
type Route struct {
	ID         string `json:"id"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	Subscriber string `json:"subscriber,omitempty"`
	Reply      string `json:"reply,omitempty"`
	// DeadLetterSink is empty where dead letters are kept.
	DeadLetterSink string `json:"deadLetterSink,omitempty"`
	MaxInFlight    int    `json:"maxInFlight"`
	Ordered        bool   `json:"ordered"`
	// Problem is why the route, or a part of it, is not served.
	Problem string `json:"problem,omitempty"`

	// Floor is the seq below which all is settled.
	Floor    engine.Seq `json:"floor"`
	Lag      uint64     `json:"lag"`
	InFlight int        `json:"inFlight"`
	Parked   int        `json:"parked"`
	// Oldest is when the oldest unsettled event came in.
	Oldest *time.Time `json:"oldest,omitempty"`
	// DeadLetters are those in the route's own store.
	DeadLetters uint64 `json:"deadLetters"`

	LastError   string     `json:"lastError,omitempty"`
	LastErrorAt *time.Time `json:"lastErrorAt,omitempty"`
	Counters    Counters   `json:"counters"`
}

// Counters count what became of a route's deliveries since the process began
// to serve it.
type Counters struct {
	Filtered     uint64 `json:"filtered"`
	Delivered    uint64 `json:"delivered"`
	Retried      uint64 `json:"retried"`
	DeadLettered uint64 `json:"deadLettered"`
	SinkFailed   uint64 `json:"sinkFailed"`
	Held         uint64 `json:"held"`
	Replies      uint64 `json:"replies"`
	Dropped      uint64 `json:"dropped"`
	HopsUsedUp   uint64 `json:"hopsUsedUp"`
	Skipped      uint64 `json:"skipped"`
}

// DeadLetter is an event that could not be delivered.
type DeadLetter struct {
	Seq    engine.Seq `json:"seq"`
	Time   time.Time  `json:"time"` // when it became one
	ID     string     `json:"id,omitempty"`
	Source string     `json:"source,omitempty"`
	Type   string     `json:"type,omitempty"`
	// The attributes knativeerror*: the destination, its status, and the
	// beginning of its answer in base64.
	ErrorDest string `json:"knativeerrordest,omitempty"`
	ErrorCode string `json:"knativeerrorcode,omitempty"`
	ErrorData string `json:"knativeerrordata,omitempty"`
	// Problem is why the record cannot be shown as an event.
	Problem string `json:"problem,omitempty"`
	// Event is the event in CloudEvents' JSON format, if data was asked for.
	Event json.RawMessage `json:"event,omitempty"`
}

// DeadLetterPage is a part of a route's dead letters, oldest first.
type DeadLetterPage struct {
	// Count is how many there are in all, First the oldest and Head the newest.
	Count       uint64       `json:"count"`
	First       engine.Seq   `json:"first"`
	Head        engine.Seq   `json:"head"`
	DeadLetters []DeadLetter `json:"deadLetters"`
	// Next is the seq to go on with, 0 if this was the last page.
	Next engine.Seq `json:"next,omitempty"`
}

// DeadLetterStore is where the dead letters of one route are.
type DeadLetterStore struct {
	Kind      string     `json:"kind"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Route     string     `json:"route"`
	Count     uint64     `json:"count"`
	Oldest    *time.Time `json:"oldest,omitempty"`
	// Gone is true when no route of the present table has it: its dead letters
	// can be looked at and dropped, but not re-driven.
	Gone bool `json:"gone"`
}

// Redriven says what a re-drive came to.
type Redriven struct {
	// Delivered dead letters were accepted, and are gone.
	Delivered int `json:"delivered"`
	// Failed ones are kept as the newest dead letters, with the new error.
	Failed    int    `json:"failed"`
	LastError string `json:"lastError,omitempty"`
}

// Sought says where a route was moved to.
type Sought struct {
	// Place is the seq that comes next, and PlaceTime when it came in, nil if it
	// is still to come.
	Place     engine.Seq `json:"place"`
	PlaceTime *time.Time `json:"placeTime,omitempty"`
	// Skipped events were not settled and do not come any more, Again ones were
	// and come again.
	Skipped uint64 `json:"skipped"`
	Again   uint64 `json:"again"`
}

// Dropped says how many dead letters were dropped.
type Dropped struct {
	Dropped uint64 `json:"dropped"`
}

// Removed says how many events went with a stream.
type Removed struct {
	Records uint64 `json:"records"`
}

// Problem is one object or file that was not taken as it is.
type Problem struct {
	File   string `json:"file,omitempty"`
	Object string `json:"object,omitempty"`
	Reason string `json:"reason"`
}

// Readiness says whether events are taken.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"`
}
