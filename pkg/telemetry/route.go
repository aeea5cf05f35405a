package telemetry

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Route measures the deliveries of one route.
type Route struct {
	metrics  *Metrics
	attempts *series
	only     []metric.AddOption // the route's attributes and no others
}

// Route returns what measures a route. Any number of them may be made for one
// route; they measure the same.
func (m *Metrics) Route(r *routing.Route) *Route {
	s := m.stream(r.Stream)
	attrs := routeAttributes(r)
	return &Route{
		metrics:  m,
		attempts: &series{types: s.types, base: attrs},
		only:     []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attrs...))},
	}
}

func routeAttributes(r *routing.Route) []attribute.KeyValue {
	return destination(streamAttributes(r.Stream), strings.ToLower(r.Kind), r.Namespace, r.Name)
}

// Attempted reports one attempt to deliver an event: the status or 0 if there
// was no answer, the time before it was sent, and the time of the attempt.
func (r *Route) Attempted(eventType string, status int, processing, took time.Duration) {
	ctx := context.Background()
	r.metrics.process.Record(ctx, processing.Seconds(), r.attempts.options(eventType, 0)...)
	r.metrics.dispatch.Record(ctx, took.Seconds(), r.attempts.options(eventType, status)...)
}

// Settled reports what became of a delivery. Results that are not known are
// not counted.
func (r *Route) Settled(result string) {
	if c, ok := r.metrics.settled[result]; ok {
		c.Add(context.Background(), 1, r.only...)
	}
}

// RouteState is a snapshot of a route.
type RouteState struct {
	Route    *routing.Route
	Consumer engine.ConsumerState
	// DeadLetters are those in the route's own store.
	DeadLetters uint64
}

// observeRoutes makes the gauges that are read from the routes' states.
func observeRoutes(meter metric.Meter, routes func(context.Context) []RouteState) error {
	if routes == nil {
		return nil
	}
	gauges := []struct {
		name, description, unit string
		value                   func(*RouteState) float64
	}{
		{"leat.route.lag", "Events that are not settled.", "", func(s *RouteState) float64 { return float64(s.Consumer.Lag) }},
		{"leat.route.oldest_age", "Age of the oldest event that is not settled.", "s", age},
		{"leat.route.in_flight", "Deliveries under way.", "", func(s *RouteState) float64 { return float64(s.Consumer.InFlight) }},
		{"leat.route.parked", "Retries that wait for their time.", "", func(s *RouteState) float64 { return float64(s.Consumer.Parked) }},
		{"leat.route.dead_letters_kept", "Dead letters in the route's own store.", "", func(s *RouteState) float64 { return float64(s.DeadLetters) }},
	}
	instruments := make([]metric.Float64Observable, len(gauges))
	all := make([]metric.Observable, len(gauges))
	for i, g := range gauges {
		gauge, err := meter.Float64ObservableGauge(g.name, metric.WithDescription(g.description), metric.WithUnit(g.unit))
		if err != nil {
			return err
		}
		instruments[i], all[i] = gauge, gauge
	}
	_, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		for _, state := range routes(ctx) {
			attrs := metric.WithAttributeSet(attribute.NewSet(routeAttributes(state.Route)...))
			for i, g := range gauges {
				o.ObserveFloat64(instruments[i], g.value(&state), attrs)
			}
		}
		return nil
	}, all...)
	return err
}

func age(s *RouteState) float64 {
	if s.Consumer.Oldest.IsZero() {
		return 0
	}
	return max(time.Since(s.Consumer.Oldest).Seconds(), 0)
}
