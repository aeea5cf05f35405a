// Package telemetry measures what the rooms report, with OpenTelemetry, and
// shows it to Prometheus.
//
// Metrics of Knative keep its names, units, buckets and attributes
// (knative.dev/eventing v0.50, pkg/observability); those of our own begin with
// leat. A stream's events may bring any number of types, so what senders and
// subscribers can invent is bounded: see types and series.
//
//	kn.eventing.dispatch.duration  s   one attempt, or one event received
//	kn.eventing.process.duration   s   from taking an event until it is sent
//	leat.route.lag                     events of a route that are not settled
//	leat.route.oldest_age          s   age of the oldest of them
//	leat.route.in_flight               deliveries under way
//	leat.route.parked                  retries that wait for their time
//	leat.route.dead_letters_kept       dead letters in the route's own store
//	leat.route.{filtered,delivered,retries,dead_letters,sink_failures,held}
//	                                   what became of deliveries, counted
//	leat.log.appended              By  written to the log
//	leat.log.sync.duration         s   one sync of the log
package telemetry

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"leat.dev/leat/pkg/routing"
)

// maxSeries bounds the series of one metric; what is over goes into one series
// with the attribute otel.metric.overflow.
const maxSeries = 20_000

// Options of Metrics.
type Options struct {
	// Version is of the program, for target_info.
	Version string
	// Routes returns the state of all routes when somebody asks for metrics.
	// It is called concurrently. Nil shows none.
	Routes func(context.Context) []RouteState
}

// Metrics is one pipeline from the rooms to /metrics. Its methods may be called
// concurrently.
type Metrics struct {
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry

	dispatch, process, sync metric.Float64Histogram
	appended                metric.Int64Counter
	settled                 map[string]metric.Int64Counter

	mu      sync.RWMutex
	streams map[routing.StreamName]*stream
}

// New returns Metrics with a registry of its own.
func New(o Options) (*Metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	m := &Metrics{
		registry: registry,
		provider: sdkmetric.NewMeterProvider(
			sdkmetric.WithReader(exporter),
			sdkmetric.WithCardinalityLimit(maxSeries),
			sdkmetric.WithResource(resource.NewSchemaless(
				attribute.String("service.name", "leat"), attribute.String("service.version", o.Version))),
		),
		settled: map[string]metric.Int64Counter{},
		streams: map[routing.StreamName]*stream{},
	}
	meter := m.provider.Meter("leat.dev/leat")
	if err := errors.Join(m.instruments(meter), observeRoutes(meter, o.Routes)); err != nil {
		return nil, err
	}
	return m, nil
}

// Close ends the pipeline.
func (m *Metrics) Close() error { return m.provider.Shutdown(context.Background()) }

// Handler answers with all metrics in Prometheus's format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// results are the words of dispatch for what became of a delivery, and the
// counters for them.
var results = []struct{ result, name, description string }{
	{"filtered", "leat.route.filtered", "Events that a route's filter did not let through."},
	{"delivered", "leat.route.delivered", "Events that a route's subscriber has accepted."},
	{"retried", "leat.route.retries", "Deliveries that failed and were put off."},
	{"deadlettered", "leat.route.dead_letters", "Events that went to the dead letter sink or the route's own dead letters."},
	{"sinkfailed", "leat.route.sink_failures", "Dead letters that could not be stored and were put off."},
	{"held", "leat.route.held", "Deliveries put off because the event store had no room."},
}

func (m *Metrics) instruments(meter metric.Meter) (err error) {
	var errs []error
	seconds := func(name, description string, bounds []float64) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithDescription(description), metric.WithUnit("s"),
			metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return h
	}
	counter := func(name, description, unit string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithDescription(description), metric.WithUnit(unit))
		errs = append(errs, err)
		return c
	}
	knative := []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	m.dispatch = seconds("kn.eventing.dispatch.duration", "The duration to dispatch the event", knative)
	m.process = seconds("kn.eventing.process.duration", "The duration of processing an event before dispatching it", knative)
	m.sync = seconds("leat.log.sync.duration", "The duration of one sync of the log.",
		[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1})
	m.appended = counter("leat.log.appended", "Bytes written to the log.", "By")
	m.appended.Add(context.Background(), 0) // shown from the start: a rate needs two points
	for _, r := range results {
		m.settled[r.result] = counter(r.name, r.description, "")
	}
	return errors.Join(errs...)
}

// Synced reports one sync of the log and how much it has made durable.
func (m *Metrics) Synced(seconds float64, bytes int) {
	m.sync.Record(context.Background(), seconds)
	m.appended.Add(context.Background(), int64(bytes))
}

// Received reports one event that was sent to a stream. The stream is the zero
// value, and the type empty, if there is none.
func (m *Metrics) Received(name routing.StreamName, eventType string, status int, took time.Duration) {
	s := m.stream(name)
	m.dispatch.Record(context.Background(), took.Seconds(), s.received.options(eventType, status)...)
}

// stream returns what is kept for a stream.
func (m *Metrics) stream(name routing.StreamName) *stream {
	m.mu.RLock()
	s := m.streams[name]
	m.mu.RUnlock()
	if s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s = m.streams[name]; s == nil {
		s = newStream(name)
		m.streams[name] = s
	}
	return s
}
