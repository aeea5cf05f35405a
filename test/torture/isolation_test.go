package torture

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// healthyRoutes are subscribers of a Broker that answer at once. They know when
// each event was sent.
type healthyRoutes struct {
	url    string
	routes int

	mu   sync.Mutex
	sent map[int]time.Time
	// took are the times from sending to arrival.
	took []time.Duration
	got  []numbers // by route

	inFlight int
}

func newHealthyRoutes(t *testing.T, routes, inFlight int) *healthyRoutes {
	h := &healthyRoutes{routes: routes, inFlight: inFlight, sent: map[int]time.Time{}, got: make([]numbers, routes)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		route, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		number, err2 := strconv.Atoi(r.Header.Get("Ce-Id"))
		if err != nil || err2 != nil || route >= routes {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.got[route].add(number)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.took = append(h.took, at.Sub(h.sent[number]))
	}))
	h.url = server.URL
	t.Cleanup(server.Close)
	return h
}

func (h *healthyRoutes) manifests() (triggers []string) {
	for i := range h.routes {
		trigger := harness.Trigger(fmt.Sprintf("healthy-%d", i), "orders", fmt.Sprintf("%s/%d", h.url, i), "filter: {attributes: {type: order}}")
		triggers = append(triggers, harness.Annotated(trigger, fmt.Sprintf("leat.dev/max-in-flight: '%d'", h.inFlight)))
	}
	return triggers
}

// sending notes when an event is sent.
func (h *healthyRoutes) sending(number int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent[number] = time.Now()
}

// percentile is how long that share of all deliveries took at most.
func (h *healthyRoutes) percentile(share float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.took)
	return h.took[int(share*float64(len(h.took)-1))]
}

// isolation is one run: healthy routes alone or with bad ones.
type isolation struct {
	healthy, events int
	// rate is events per second.
	rate int
	bad  bool
	// inFlight is each route's max-in-flight.
	inFlight int
}

// loops are the events that go round.
const loops = 5

// run sends the events and waits until the healthy routes have them all. look is
// called at the end, with the bad routes as they are then.
func (i isolation) run(t *testing.T, look func(*harness.Leat, *badRoutes)) *healthyRoutes {
	t.Helper()
	healthy, bad := newHealthyRoutes(t, i.healthy, i.inFlight), newBadRoutes(t)
	manifests := append([]string{harness.Broker("orders")}, healthy.manifests()...)
	if i.bad {
		manifests = append(manifests, bad.manifests(i.inFlight)...)
	}
	// What hangs is cut off at the end.
	l := harness.StartWith(t, []string{"--profiling", "--grace-period", "1s"}, manifests...)
	events := newSenders(t, 1<<10, func() string { return l.BrokerURL("orders") })
	events.sending = healthy.sending
	if i.bad {
		for n := range loops {
			harness.Send(t, l.BrokerURL("orders"), harness.Event(fmt.Sprint("loop", n), harness.Type("loop")))
		}
	}
	events.pace(t, i.rate, i.events)
	for n := range healthy.got {
		allSeen(t, fmt.Sprint("healthy route ", n), &healthy.got[n], &events.acked)
	}
	look(l, bad)
	return healthy
}

// check wants the bad routes to be where they should be, and nothing to grow
// with what they have not settled.
func (i isolation) check(t *testing.T, l *harness.Leat, bad *badRoutes) {
	t.Helper()
	begun := time.Now()
	defer func() { t.Logf("%v until the bad routes were where they should be", time.Since(begun)) }()
	settled(t, "rounds of the loop", func() int { return int(routeOf(t, l, "looping").Lag) })
	if n := routeOf(t, l, "looping").Counters.HopsUsedUp; n != loops || bad.looping.Load() > loops*256 {
		t.Errorf("%d events go round: %d deliveries, %d ends of a loop are counted", loops, bad.looping.Load(), n)
	}
	settled(t, "events that are not parked for the unavailable one", func() int {
		s := routeOf(t, l, "unavailable")
		return i.events - s.Parked - s.InFlight
	})
	settled(t, "redirected events that are no dead letters", func() int { return i.events - routeOf(t, l, "redirecting").DeadLetters })
	if n := bad.elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
	for _, name := range []string{"hanging", "slow"} {
		if s := routeOf(t, l, name); int(s.Lag) < i.events || int(s.Lag) > i.events+loops*256 || s.InFlight != i.inFlight {
			t.Errorf("route %s: %+v, want all %d events unsettled, %d of them in flight", name, s, i.events, i.inFlight)
		}
	}
	// Three routes have their attempts under way, with three goroutines each; up
	// to 512 connections to each of two hosts are kept, with two each.
	most := 200 + 10*i.healthy + 9*i.inFlight + 2*min(512, i.healthy*i.inFlight) + 2*min(512, 6*i.inFlight)
	parked := routeOf(t, l, "unavailable").Parked
	settled(t, fmt.Sprintf("goroutines above %d, with %d parked retries", most, parked), func() int { return max(0, goroutines(t, l)-most) })
	now, peak := memory(t, l.PID())
	t.Logf("%d retries are parked, %d goroutines, resident %s, at most %s; %d requests were answered 503, %d with 1 GiB",
		parked, goroutines(t, l), mebibytes(now), mebibytes(peak), bad.unavailable.Load(), bad.endless.Load())
	if most := uint64(300<<20) * memoryFactor; peak > most {
		t.Errorf("%s of memory, want at most %s", mebibytes(peak), mebibytes(most))
	}
}

// Routes that hang, are unavailable, take a byte a second, redirect, answer with
// 1 GiB or with themselves keep no event from the healthy ones, and take neither
// memory nor goroutines for what they have not settled. With -torture.time the
// deliveries to 50 healthy routes are timed, beside the bad ones and without, in
// turn.
func TestIsolation(t *testing.T) {
	i := isolation{healthy: 5, events: 1500, rate: 1500, bad: true, inFlight: 10}
	i.run(t, func(l *harness.Leat, bad *badRoutes) { i.check(t, l, bad) })
}

func TestIsolationInTime(t *testing.T) {
	if !long() {
		t.Skip("times are measured with -torture.time")
	}
	const rounds, rate = 5, 100
	// Not less: in the first two seconds the bad routes fill their slots and the
	// loop goes round, and a percentile would be of those alone.
	seconds := max(30, min(60, int(tortureTime.Seconds())/(2*rounds)))
	i := isolation{healthy: 50, events: rate * seconds, rate: rate, inFlight: 100}
	var ratios []float64
	for round := range rounds {
		alone := i
		without := alone.run(t, func(*harness.Leat, *badRoutes) {})
		beside := i
		beside.bad = true
		with := beside.run(t, func(l *harness.Leat, bad *badRoutes) { beside.check(t, l, bad) })
		ratio := float64(with.percentile(0.99)) / float64(without.percentile(0.99))
		ratios = append(ratios, ratio)
		t.Logf("round %d: healthy deliveries take %v, p99 %v; beside bad routes %v, p99 %v: %.2f times",
			round, without.percentile(0.5), without.percentile(0.99), with.percentile(0.5), with.percentile(0.99), ratio)
	}
	slices.Sort(ratios)
	if median := ratios[rounds/2]; median > 1.5 {
		t.Errorf("beside bad routes the p99 of healthy ones is %.2f times as long, want at most 1.5", median)
	}
}
