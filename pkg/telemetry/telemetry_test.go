package telemetry

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

var broker = routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: "default"}

func trigger(name string) *routing.Route {
	return &routing.Route{ID: name, Kind: "Trigger", Namespace: "ns", Name: name, Stream: broker}
}

func newMetrics(t testing.TB, states ...RouteState) *Metrics {
	t.Helper()
	m, err := New(Options{Version: "v1", Routes: func(context.Context) []RouteState { return states }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// scrape returns /metrics, as Prometheus would read it.
func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(w.Body)
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, body)
	}
	return string(body)
}

func want(t *testing.T, metrics string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, only(metrics))
		}
	}
}

// only leaves out what is about the process.
func only(metrics string) string {
	return regexp.MustCompile(`(?m)^(# |go_|process_).*\n`).ReplaceAllString(metrics, "")
}

const route = `kn_broker_name="default",kn_broker_namespace="ns",messaging_destination_name="trigger:a.ns",messaging_operation_name="send",messaging_system="knative"`

func TestKnativeMetrics(t *testing.T) {
	m := newMetrics(t)
	m.Route(trigger("a")).Attempted("t", 200, 6*time.Millisecond, 2*time.Second)
	m.Route(trigger("a")).Attempted("t", 0, 6*time.Millisecond, 2*time.Second)
	m.Received(broker, "t", 202, time.Millisecond)
	m.Received(routing.StreamName{}, "", 404, time.Millisecond)
	got := scrape(t, m)
	answered := `cloudevents_type="t",http_response_status_code="200",` + route
	want(t, got,
		`kn_eventing_dispatch_duration_seconds_bucket{`+answered+`,le="1"} 0`,
		`kn_eventing_dispatch_duration_seconds_bucket{`+answered+`,le="2.5"} 1`,
		`kn_eventing_dispatch_duration_seconds_count{cloudevents_type="t",`+route+`} 1`,
		`kn_eventing_process_duration_seconds_bucket{cloudevents_type="t",`+route+`,le="0.01"} 2`,
		`kn_eventing_dispatch_duration_seconds_count{`+strings.ReplaceAll(strings.ReplaceAll(answered, "trigger:a", "broker:default"), `"200"`, `"202"`)+`} 1`,
		`kn_eventing_dispatch_duration_seconds_count{cloudevents_type="other",http_response_status_code="404"} 1`,
		`target_info{service_name="leat",service_version="v1"} 1`,
	)
}

func TestOwnMetrics(t *testing.T) {
	m := newMetrics(t, RouteState{
		Route:       trigger("a"),
		Consumer:    engine.ConsumerState{Lag: 7, InFlight: 2, Parked: 3},
		DeadLetters: 4,
	})
	r := m.Route(trigger("a"))
	for i, res := range results {
		for range i + 1 {
			r.Settled(res.result)
		}
	}
	r.Settled("what is this")
	m.Synced(.002, 1000)
	m.Synced(.002, 24)
	want(t, scrape(t, m),
		`leat_route_lag{`+route+`} 7`,
		`leat_route_oldest_age_seconds{`+route+`} 0`,
		`leat_route_in_flight{`+route+`} 2`,
		`leat_route_parked{`+route+`} 3`,
		`leat_route_dead_letters_kept{`+route+`} 4`,
		`leat_route_filtered_total{`+route+`} 1`,
		`leat_route_delivered_total{`+route+`} 2`,
		`leat_route_retries_total{`+route+`} 3`,
		`leat_route_dead_letters_total{`+route+`} 4`,
		`leat_route_sink_failures_total{`+route+`} 5`,
		`leat_route_held_total{`+route+`} 6`,
		`leat_log_appended_bytes_total 1024`,
		`leat_log_sync_duration_seconds_count 2`,
		`leat_log_sync_duration_seconds_bucket{le="0.0025"} 2`,
	)
}

// Before the first event there is something to see.
func TestFirstScrape(t *testing.T) {
	want(t, scrape(t, newMetrics(t)), `leat_log_appended_bytes_total 0`)
}

func TestOldestAge(t *testing.T) {
	state := RouteState{Consumer: engine.ConsumerState{Oldest: time.Now().Add(-time.Hour)}}
	if got := age(&state); got < 3600 || got > 3700 {
		t.Errorf("the age is %v", got)
	}
	state.Consumer.Oldest = time.Now().Add(time.Hour) // a clock was set back
	if got := age(&state); got != 0 {
		t.Errorf("the age of what is to come is %v", got)
	}
}

// Whatever types a sender and statuses a subscriber invent, there are few
// series, the first types keep their names, and a scrape works.
func TestSeriesAreBounded(t *testing.T) {
	m := newMetrics(t)
	r := m.Route(trigger("a"))
	r.Attempted("\xff\"\n", 200, 0, 0)
	for i := range 10_000 {
		r.Attempted(fmt.Sprint("type-", i), i%1000, 0, 0)
		r.Attempted(strings.Repeat("x", i), 200, 0, 0)
		m.Received(broker, fmt.Sprint("type-", i), 202, 0)
	}
	got := scrape(t, m)
	if n := strings.Count(got, "kn_eventing_dispatch_duration_seconds_count{"); n > maxPairs+20+maxTypes+1 {
		t.Errorf("there are %d series", n)
	}
	seen := map[string]bool{}
	for _, s := range regexp.MustCompile(`cloudevents_type="[^"]*"`).FindAllString(got, -1) {
		seen[s] = true
	}
	if len(seen) > maxTypes+1 {
		t.Errorf("there are %d types, want at most %d", len(seen), maxTypes+1)
	}
	for _, typ := range []string{"type-1", otherType} {
		if !seen[`cloudevents_type="`+typ+`"`] {
			t.Errorf("the type %s is not there", typ)
		}
	}
}

func BenchmarkAttempted(b *testing.B) {
	r := newMetrics(b).Route(trigger("a"))
	b.ReportAllocs()
	for b.Loop() {
		r.Attempted("t", 200, time.Microsecond, time.Millisecond)
	}
}

func BenchmarkAttemptedOther(b *testing.B) {
	m := newMetrics(b)
	r := m.Route(trigger("a"))
	for i := range 2 * maxTypes {
		r.Attempted(fmt.Sprint(i), 200, 0, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Attempted("never seen", 200, time.Microsecond, time.Millisecond)
	}
}

func BenchmarkSettled(b *testing.B) {
	r := newMetrics(b).Route(trigger("a"))
	b.ReportAllocs()
	for b.Loop() {
		r.Settled("delivered")
	}
}

func BenchmarkReceived(b *testing.B) {
	m := newMetrics(b)
	b.ReportAllocs()
	for b.Loop() {
		m.Received(broker, "t", 202, time.Millisecond)
	}
}
