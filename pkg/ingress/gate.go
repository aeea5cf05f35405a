// Package ingress is HTTP in, and the one gate by which anything enters a
// stream.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Errors of the gate, told apart with errors.Is. Others are the engine's:
// engine.ErrFull, engine.ErrClosed and what it cannot explain.
var (
	ErrNoStream = errors.New("there is no such broker or channel")
	ErrHops     = errors.New("the event went round too often: its knativebrokerttl is used up")
)

// arrivalAttribute says when an event came in, in RFC 3339 and UTC.
const arrivalAttribute = "knativearrivaltime"

// Gate is the way into the streams of one data plane, for requests, replies
// and dead letters alike. It may be used by many goroutines at once.
type Gate struct {
	// open is replaced as a whole and never changed.
	open atomic.Pointer[streams]
	// inside is where replies and dead letters may go, replaced like open.
	inside atomic.Pointer[map[routing.StreamName]engine.Stream]
}

type streams struct {
	byName map[routing.StreamName]engine.Stream
	byHost map[string]routing.StreamName
}

// NewGate returns a Gate without streams.
func NewGate() *Gate {
	g := &Gate{}
	g.SetStreams(nil, nil)
	return g
}

// SetStreams says which streams there are from now on, and the host names (in
// lower case, without port) under which channels are reached. The maps must
// not be changed afterwards. An Admit that is under way goes on with the
// streams it has.
func (g *Gate) SetStreams(byName map[routing.StreamName]engine.Stream, byHost map[string]routing.StreamName) {
	g.SetInside(byName)
	g.open.Store(&streams{byName, byHost})
}

// SetInside says where replies and dead letters may go from now on, ahead of
// SetStreams: the first delivery of a route may come before the last route is
// opened, and without it its reply would have nowhere to go.
func (g *Gate) SetInside(byName map[routing.StreamName]engine.Stream) { g.inside.Store(&byName) }

// Lookup returns the stream of that name.
func (g *Gate) Lookup(name routing.StreamName) (engine.Stream, bool) {
	s, ok := g.open.Load().byName[name]
	return s, ok
}

// Host returns the channel that is reached under a host name.
func (g *Gate) Host(host string) (routing.StreamName, bool) {
	name, ok := g.open.Load().byHost[host]
	return name, ok
}

// Admit stores all events or none and returns when they are durable
// (invariant 1). Each is stamped with the hops it has left and, in a Broker,
// with its arrival: a channel adds nothing that a subscriber sees.
// The events' data is not used any more after the return.
//
// Errors are ErrNoStream, ErrHops and those of engine.Stream.Append.
func (g *Gate) Admit(ctx context.Context, to routing.StreamName, hops Hops, events ...cloudevent.Event) error {
	stream, ok := g.Lookup(to)
	if hops.inside {
		stream, ok = (*g.inside.Load())[to]
	}
	if !ok {
		return ErrNoStream
	}
	if len(events) == 0 {
		return nil
	}
	payloads, err := stamped(to, hops, events)
	if err != nil {
		return err
	}
	if _, err := stream.Append(ctx, payloads...); err != nil {
		return fmt.Errorf("append to %s: %w", to, err)
	}
	return nil
}

// stamped encodes events with the hops they have left, and for a Broker with
// their arrival. All lie in one piece of memory.
func stamped(to routing.StreamName, hops Hops, events []cloudevent.Event) ([]engine.Payload, error) {
	set := []cloudevent.Attr{ // sorted
		{Name: arrivalAttribute, Value: cloudevent.Value{S: time.Now().UTC().Format(time.RFC3339Nano)}},
		{Name: hopsAttribute, Value: cloudevent.Value{Kind: cloudevent.Integer, S: strconv.Itoa(MaxHops)}},
	}
	left := &set[1].S
	if to.Kind != routing.Broker {
		set = set[1:]
	}
	size := 0
	for i := range events {
		size += events[i].StoredSize(set...)
	}
	stored := make([]byte, 0, size)
	payloads := make([]engine.Payload, len(events))
	for i := range events {
		e := &events[i]
		n, err := hops.left(e)
		if err != nil {
			return nil, err
		}
		*left = strconv.Itoa(int(n))
		begin := len(stored)
		stored = e.AppendStored(stored, set...)
		payloads[i] = engine.Payload{Data: stored[begin:len(stored):len(stored)], Type: e.Type(), Source: e.Source(), Key: e.Key(), Settles: hops.inside}
	}
	return payloads, nil
}
