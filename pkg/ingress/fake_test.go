package ingress

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStream remembers what is appended, or fails. Its other methods are never
// called here.
type fakeStream struct {
	engine.Stream
	mu       sync.Mutex
	appended []engine.Payload
	calls    int
	err      error
	// before is called by Append, if it is set.
	before func(context.Context) error
}

func (s *fakeStream) Append(ctx context.Context, payloads ...engine.Payload) (engine.Seq, error) {
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.calls++
	first := engine.Seq(len(s.appended) + 1)
	s.appended = append(s.appended, payloads...)
	return first, nil
}

func (s *fakeStream) payloads() []engine.Payload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.appended)
}

// events decodes what was appended.
func (s *fakeStream) events(t testing.TB) []cloudevent.Event {
	t.Helper()
	var events []cloudevent.Event
	for _, p := range s.payloads() {
		e, err := cloudevent.Decode(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// world is a gate with one Broker, one channel and streams that fail.
type world struct {
	gate            *Gate
	broker, channel *fakeStream
}

const channelHost = "orders-kn-channel.ns.svc.cluster.local"

var (
	brokerName  = routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: "default"}
	channelName = routing.StreamName{Kind: routing.Channel, Namespace: "ns", Name: "orders"}
)

func newWorld() *world {
	w := &world{gate: NewGate(), broker: &fakeStream{}, channel: &fakeStream{}}
	failing := func(name string, err error) (routing.StreamName, engine.Stream) {
		return routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: name}, &fakeStream{err: err}
	}
	byName := map[routing.StreamName]engine.Stream{brokerName: w.broker, channelName: w.channel}
	for name, err := range map[string]error{"full": engine.ErrFull, "closed": engine.ErrClosed, "broken": errors.New("secret disk trouble")} {
		n, s := failing(name, err)
		byName[n] = s
	}
	w.gate.SetStreams(byName, map[string]routing.StreamName{channelHost: channelName})
	return w
}

func event(set ...string) cloudevent.Event {
	var e cloudevent.Event
	e.Set("id", "1")
	e.Set("source", "/s")
	e.Set("type", "t")
	for i := 0; i < len(set); i += 2 {
		e.Set(set[i], set[i+1])
	}
	return e
}
