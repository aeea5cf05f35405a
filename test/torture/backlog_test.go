package torture

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// order is a subscriber of an ordered route: it knows whether each event came
// after those of its key with smaller numbers.
type order struct {
	got numbers

	mu    sync.Mutex
	last  map[int]int // by key
	wrong []string
}

// ServeHTTP implements http.Handler.
func (o *order) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.Header.Get("Ce-Id"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.got.has(number) {
		key := number % keys
		if last := o.last[key]; number < last && len(o.wrong) < 10 {
			o.wrong = append(o.wrong, fmt.Sprintf("event %d came after %d", number, last))
		}
		o.last[key] = number
	}
	o.got.add(number)
}

// Events come in while two subscribers refuse connections, one of an ordered
// route. Memory stays within its bound, lag and age are shown right, the process
// starts at once on the backlog after a SIGKILL, and everything is delivered when
// the subscribers are back.
func TestBacklog(t *testing.T) {
	events := 50_000 / workFactor
	if long() {
		events = 2_000_000
	}
	ordered, plain := &order{last: map[int]int{}}, &order{last: map[int]int{}}
	orderedPort, plainPort := harness.ReservePort(t), harness.ReservePort(t)
	const retries = "delivery: {retry: 1000, backoffPolicy: exponential, backoffDelay: PT0.2S}"
	l := harness.Start(t, harness.Broker("orders"),
		harness.Annotated(harness.Trigger("ordered", "orders", orderedPort.URL, retries), "leat.dev/delivery-order: ordered"),
		harness.Trigger("plain", "orders", plainPort.URL, retries))
	begun := time.Now()
	senders := newSenders(t, 1<<10, func() string { return l.BrokerURL("orders") })
	senders.send(t, events)
	took := time.Since(begun)
	_, peak := memory(t, l.PID())
	t.Logf("%d events of 1 KiB in %v, at most %s resident", events, took.Round(time.Millisecond), mebibytes(peak))
	wantMemory(t, "while events come in", peak)
	for _, name := range []string{"ordered", "plain"} {
		wantBacklog(t, l, name, events, begun)
	}

	begun2 := time.Now()
	l.Kill()
	killed := time.Since(begun2)
	l.Restart() // kills what is dead
	ready := time.Since(begun2) - killed
	now, _ := memory(t, l.PID())
	t.Logf("after SIGKILL ready on the backlog in %v, %s resident", ready.Round(time.Millisecond), mebibytes(now))
	if long() && ready > 3*time.Second {
		t.Errorf("the restart took %v, want at most 3 s", ready)
	}
	for _, name := range []string{"ordered", "plain"} {
		wantBacklog(t, l, name, events, begun)
	}

	begun2 = time.Now()
	orderedPort.Serve(ordered)
	plainPort.Serve(plain)
	// What was tried last when they were down for long waits as long again.
	patience := stall + 2*begun2.Sub(begun)
	allSeenWithin(t, patience, "the plain route", &plain.got, &senders.acked)
	allSeenWithin(t, patience, "the ordered route", &ordered.got, &senders.acked)
	l.WaitSettled()
	_, peak = memory(t, l.PID())
	t.Logf("all delivered to both in %v, at most %s resident", time.Since(begun2).Round(time.Millisecond), mebibytes(peak))
	wantMemory(t, "while they are delivered", peak)
	for _, wrong := range ordered.wrong {
		t.Error("the ordered route: ", wrong)
	}
	if s := routeOf(t, l, "ordered"); s.Lag != 0 || s.Oldest != nil {
		t.Errorf("all is delivered, and the route shows %+v", s)
	}
}

func wantMemory(t *testing.T, when string, peak uint64) {
	t.Helper()
	if most := uint64(300<<20) * memoryFactor; peak > most {
		t.Errorf("%s: %s of memory, want at most %s", when, mebibytes(peak), mebibytes(most))
	}
}

// wantBacklog wants all events unsettled, the oldest of them from the beginning.
func wantBacklog(t *testing.T, l *harness.Leat, route string, events int, begun time.Time) {
	t.Helper()
	s := routeOf(t, l, route)
	if s.Lag != uint64(events) || s.InFlight > 100 || s.Oldest == nil || s.Oldest.Before(begun) || s.Oldest.After(begun.Add(10*time.Second)) {
		t.Errorf("route %s: %+v, want a lag of %d since %v", route, s, events, begun)
	}
}
