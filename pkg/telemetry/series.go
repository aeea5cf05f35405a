package telemetry

import (
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"leat.dev/leat/pkg/routing"
)

// Bounds on what senders and subscribers can invent.
const (
	// maxTypes is how many event types are told apart per stream; the rest are
	// otherType.
	maxTypes = 50
	// maxTypeLength is the length of a type that is shown, in bytes.
	maxTypeLength = 128
	// maxPairs is how many pairs of type and status are told apart per route.
	maxPairs = 256
)

const otherType = "other"

// stream is what is kept for one stream.
type stream struct {
	attrs    []attribute.KeyValue
	types    *types
	received *series
}

func newStream(name routing.StreamName) *stream {
	s := &stream{types: &types{}, attrs: streamAttributes(name)}
	s.received = &series{types: s.types, base: s.attrs}
	if name != (routing.StreamName{}) {
		s.received.base = destination(s.attrs, string(name.Kind), name.Namespace, name.Name)
	}
	return s
}

func streamAttributes(name routing.StreamName) []attribute.KeyValue {
	if name == (routing.StreamName{}) {
		return nil
	}
	kind := "kn." + string(name.Kind)
	return []attribute.KeyValue{
		attribute.String(kind+".name", name.Name),
		attribute.String(kind+".namespace", name.Namespace),
	}
}

// destination adds Knative's attributes of an object that receives events.
func destination(attrs []attribute.KeyValue, kind, namespace, name string) []attribute.KeyValue {
	return append(slices.Clip(attrs),
		attribute.String("messaging.system", "knative"),
		attribute.String("messaging.operation.name", "send"),
		attribute.String("messaging.destination.name", kind+":"+name+"."+namespace),
	)
}

// types are the event types of a stream that are told apart: the first
// maxTypes that came.
type types struct {
	mu    sync.Mutex
	known map[string]string
}

// name returns the type's name in metrics. The result does not share memory
// with t, which may be a part of a stored record.
func (ts *types) name(t string) string {
	if t == "" || len(t) > maxTypeLength {
		return otherType
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if name, ok := ts.known[t]; ok {
		return name
	}
	if len(ts.known) >= maxTypes {
		return otherType
	}
	if ts.known == nil {
		ts.known = map[string]string{}
	}
	key := strings.Clone(t)
	name := strings.ToValidUTF8(key, "?")
	ts.known[key] = name
	return name
}

// series are attribute sets by event type and status, each made once.
type series struct {
	base  []attribute.KeyValue
	types *types
	mu    sync.RWMutex
	made  map[pair][]metric.RecordOption
}

type pair struct {
	eventType string
	status    int
}

// options returns the attributes of one measurement. status 0 stands for none.
// After maxPairs a new pair is counted as another type, and by the hundreds of
// its status.
func (s *series) options(eventType string, status int) []metric.RecordOption {
	s.mu.RLock()
	o, ok := s.made[pair{eventType, status}]
	s.mu.RUnlock()
	if ok {
		return o
	}
	key := pair{s.types.name(eventType), status}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) >= maxPairs {
		key = pair{otherType, min(max(status, 0), 999) / 100 * 100}
	}
	if o, ok := s.made[key]; ok {
		return o
	}
	attrs := append(slices.Clip(s.base), attribute.String("cloudevents.type", key.eventType))
	if key.status != 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", key.status))
	}
	o = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	if s.made == nil {
		s.made = map[pair][]metric.RecordOption{}
	}
	s.made[key] = o
	return o
}
