// Package engine is the contract between the data plane and storage.
//
// An Engine holds streams, a Stream holds records and consumers, a Consumer
// hands out deliveries and takes their settlement. The seam is at the consumer
// and not at the log, so that an engine which is a distributed system itself
// brings its own sharing, redelivery and replication. Every engine passes
// engine/enginetest. All methods may be called concurrently.
package engine

import (
	"context"
	"errors"
	"time"
)

// Errors that callers tell apart, with errors.Is.
var (
	// ErrFull says that the store has no room; the payload was not stored and
	// the caller may try again later.
	ErrFull = errors.New("the event store is full")
	// ErrClosed says that the engine, stream or consumer was closed or removed.
	ErrClosed = errors.New("closed")
	// ErrNoStream says that there is no stream of that name, and that none was
	// to be created.
	ErrNoStream = errors.New("there is no such stream")
	// ErrNoConsumer says that the stream has no consumer of that name.
	ErrNoConsumer = errors.New("there is no such consumer")
	// ErrNotInFlight says that a seq was settled which is not in flight.
	ErrNotInFlight = errors.New("not in flight")
	// ErrLocked says that another process uses the store.
	ErrLocked = errors.New("the data folder is in use by another process")
	// ErrFormat says that the store was written by a newer version.
	ErrFormat = errors.New("the data folder has a format that this version does not know")
)

// Seq numbers the records of one stream, from 1, without gaps. It is never
// used twice in a stream's life (invariant 3).
type Seq uint64

// Engine is a set of streams.
type Engine interface {
	// Stream opens a stream, and creates it where there is none, unless its
	// Retention is KeepAsIs. Opening an open stream returns the same one with the
	// new spec.
	Stream(ctx context.Context, spec StreamSpec) (Stream, error)
	// Streams lists the names of all streams that are stored, sorted.
	Streams(ctx context.Context) ([]string, error)
	// Remove deletes a stream with its records and consumers. A stream that is
	// created again under the name starts afresh. Removing what is not there is
	// not an error.
	Remove(ctx context.Context, name string) error
	// Close settles what is under way on disk and releases the store.
	Close() error
}

// StreamSpec describes a stream.
type StreamSpec struct {
	Name string
	// Retention keeps records that all consumers have settled until they are
	// this old. Zero drops them at once, KeepForever never. KeepAsIs leaves it as
	// it is.
	Retention time.Duration
}

// KeepAsIs is for who only looks at a stream: its Retention stays what it is,
// a stream that nobody had opened keeps all it has, and where there is none the
// answer is ErrNoStream.
const KeepAsIs = time.Duration(-1)

// KeepForever is a Retention that never ends: records go only with TrimTo.
const KeepForever = time.Duration(1<<63 - 1)

// Payload is what is appended: bytes that no engine looks into, and the keys
// by which an engine may skip them.
type Payload struct {
	Data []byte
	// Type and Source are matched with ConsumerSpec.Interest.
	Type   string
	Source string
	// Key is the event's ordering key, used by ordered consumers.
	Key string
	// Settles says that storing it lets a delivery be settled: it is a reply or
	// a dead letter. An engine that is full for other payloads keeps a reserve
	// for these, because only what is settled makes room.
	Settles bool
}

// Record is a stored payload. Data must not be changed; it stays valid.
type Record struct {
	Seq Seq
	// Time is when the record was appended, by the wall clock.
	Time time.Time
	Data []byte
}

// Stream is an ordered, durable sequence of records.
type Stream interface {
	// Append stores all payloads or none and returns the first one's seq, the
	// others follow it. It returns only when they would survive a power cut
	// (invariant 1). After an error other than ErrFull and ErrClosed, and when
	// ctx ends first, it is unknown whether they are stored.
	Append(ctx context.Context, payloads ...Payload) (first Seq, err error)
	// Consumer opens a consumer, and creates it where there is none. A consumer
	// is open once: a second opening is refused or takes over, and then the
	// first is closed.
	Consumer(ctx context.Context, spec ConsumerSpec) (Consumer, error)
	// Consumers lists the names of all stored consumers, sorted.
	Consumers(ctx context.Context) ([]string, error)
	// RemoveConsumer deletes a consumer with its progress and closes it if it
	// is open. Removing what is not there is not an error.
	RemoveConsumer(ctx context.Context, name string) error
	// Seek moves a consumer's place, whether it is open or not: all below to is
	// settled, and all from there on comes as if for the first time. to is brought
	// into what is kept: First to Head+1 of the stream. The new place would survive
	// a power cut when Seek returns; when the power fails before that it is the old
	// or the new one. Only Seek moves a floor back (invariant 4).
	//
	// Deliveries in flight keep their slots, and of an ordered consumer their keys,
	// until they are settled. That is no error and means nothing any more: a record
	// from to on comes again after it.
	Seek(ctx context.Context, consumer string, to Seq) (Sought, error)
	// Read returns up to max records from seq from on (or from the oldest one
	// kept, if that is later), never past the durable head (invariant 2). None
	// means that there are none yet.
	Read(ctx context.Context, from Seq, max int) ([]Record, error)
	// TrimTo drops the records below seq as soon as no consumer needs them, for
	// streams that are kept forever (dead letters that an operator drops).
	TrimTo(ctx context.Context, seq Seq) error
	State(ctx context.Context) (StreamState, error)
}

// StreamState is a snapshot of a stream.
type StreamState struct {
	// First is the oldest record kept, Head the newest durable one. A stream
	// without records has First = Head+1.
	First, Head Seq
	// Oldest is when First was appended, zero if there is none.
	Oldest time.Time
}

// Sought says what a seek came to.
type Sought struct {
	// Place is the consumer's floor now.
	Place Seq
	// Skipped counts the records that were unsettled (see ConsumerState.Lag) and
	// are below Place, Again those from Place on that were settled.
	Skipped, Again uint64
}

// ConsumerSpec describes a consumer.
type ConsumerSpec struct {
	// Name is unique in the stream.
	Name string
	// FromEarliest starts a new consumer at the oldest record kept instead of
	// behind the head.
	FromEarliest bool
	// MaxInFlight bounds the deliveries handed out and not settled; at least 1.
	MaxInFlight int
	// Ordered hands out records of one Payload.Key one at a time, in order,
	// also across retries.
	Ordered  bool
	Interest Interest
}

// Interest is what is certain about the records a consumer wants. An engine
// may use it to skip records (they count as settled) but may hand them out as
// well: the caller filters again. An empty list wants every value.
type Interest struct {
	Types   []string
	Sources []string
}

// Delivery is one attempt to deliver a record.
type Delivery struct {
	Record
	// Attempt counts from 0. It does not fall when a process dies, except for
	// attempts after the last checkpoint.
	Attempt int
}

// Consumer is a route's reader.
type Consumer interface {
	// Next blocks until there is a delivery, ctx ends or the consumer is closed
	// (ErrClosed). At most MaxInFlight deliveries are unsettled; parked retries
	// hold no slot, and when they are due they get three quarters of the slots at
	// most, so that attempts which hang do not keep new records waiting.
	Next(ctx context.Context) (Delivery, error)
	// Ack settles a delivery.
	Ack(ctx context.Context, seq Seq) error
	// Retry parks a delivery: it comes back with Attempt+1 after the duration
	// or a little later.
	Retry(ctx context.Context, seq Seq, after time.Duration) error
	// Release gives a delivery back unattempted: it comes back soon with the
	// same Attempt.
	Release(ctx context.Context, seq Seq) error
	// Update changes MaxInFlight, Ordered and Interest from now on. Records
	// that were handed out or parked stay so.
	Update(ctx context.Context, spec ConsumerSpec) error
	State(ctx context.Context) (ConsumerState, error)
	// Close stops the consumer. What is unsettled comes back when it is opened
	// again.
	Close() error
}

// ConsumerState is a snapshot of a consumer.
type ConsumerState struct {
	// Floor is the seq below which all is settled (invariant 4).
	Floor Seq
	// InFlight deliveries are handed out and not settled. Those of before a seek
	// are among them; they hold no floor.
	InFlight int
	// Parked retries wait for their time.
	Parked int
	// Lag counts the records up to the head that are not settled.
	Lag uint64
	// Oldest is when the oldest unsettled record was appended, zero if all is
	// settled or the record cannot be read.
	Oldest time.Time
}
