package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

// Ready is true: what is shown as served gets an event that is sent right then,
// however many are new at once, and the way that is shown.
func TestServedIsDelivered(t *testing.T) {
	const tables, each = 8, 50
	l := begin(t, t.TempDir(), tableOf(orders, "u"))
	first, then := subscribe(t, http.StatusOK), subscribe(t, http.StatusOK)
	var routes []*routing.Route
	for i := range tables {
		routes = routes[:0:0]
		for j := range (i + 1) * each {
			r := routeTo(first, orders, fmt.Sprintf("r%03d", j))
			r.Subscriber = &routing.Destination{URL: first.URL + "/" + r.Name}
			routes = append(routes, r)
		}
		l.apply(tableOf(orders, "u", routes...))
		newest := routes[len(routes)-1]
		l.awaitServed(newest)
		id := fmt.Sprint(i)
		l.send(orders, id)
		l.eventually("event "+id+" is delivered", func() bool { return slices.Contains(first.ids(), id+" at /"+newest.Name) })

		// A change is shown no earlier than it holds.
		changed := *newest
		changed.Subscriber = &routing.Destination{URL: then.URL}
		routes[len(routes)-1] = &changed
		l.apply(tableOf(orders, "u", routes...))
		l.awaitServed(&changed)
		l.send(orders, id+"-again")
		l.eventually("event "+id+"-again is delivered", func() bool { return slices.Contains(then.ids(), id+"-again at /") })
		if slices.Contains(first.ids(), id+"-again at /"+newest.Name) {
			t.Fatalf("event %s-again went the way that was shown before", id)
		}
	}
}

// A new stream is shown when its events are taken.
func TestServedStreamTakesEvents(t *testing.T) {
	l := begin(t, t.TempDir(), tableOf(orders, "u"))
	table := tableOf(orders, "u")
	for i := range 40 {
		name := routing.StreamName{Kind: routing.Channel, Namespace: "shop", Name: fmt.Sprint("jobs", i)}
		next := tableOf(name, fmt.Sprint("uid", i))
		for k, v := range table.Streams {
			next.Streams[k] = v
		}
		table = next
		l.apply(table)
		l.eventually(name.String()+" is served", func() bool { return l.served().Streams[name.String()].UID == fmt.Sprint("uid", i) })
		l.send(name, "1")
	}
}

func TestWhatIsNotServed(t *testing.T) {
	l := begin(t, t.TempDir(), tableOf(orders, "u"))
	s := subscribe(t, http.StatusOK)
	unresolved := routeTo(s, orders, "unresolved")
	unresolved.Unresolved = "there is no Service"
	mistaken := routeTo(s, orders, "mistaken")
	mistaken.Filter.Filters = []routing.Expr{{CESQL: "type = "}}
	impossible := routeTo(s, orders, "impossible\x00")
	good := routeTo(s, orders, "good")
	table := tableOf(orders, "u", unresolved, mistaken, impossible, good)
	broken := routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: "broken\x00"}
	table.Streams[broken] = &routing.Stream{Name: broken, UID: "b"}
	l.apply(table)
	l.awaitServed(good)
	got := l.served()
	if len(got.Streams) != 1 || len(got.Streams[orders.String()].Routes) != 2 {
		t.Errorf("served are %+v", got.Streams)
	}
	if p := got.Streams[orders.String()].Routes[mistaken.ID].Problem; !strings.Contains(p, "filter") {
		t.Errorf("a mistaken filter has the problem %q", p)
	}
	l.apply(tableOf(orders, "u"))
	l.eventually("nothing is served any more", func() bool { return len(l.served().Streams[orders.String()].Routes) == 0 })
}

// The status address is for everybody: it shows, and changes nothing.
func TestStatusHasNoOperatorAPI(t *testing.T) {
	s := subscribe(t, http.StatusBadRequest)
	r := routeTo(s, orders, "a")
	l := begin(t, t.TempDir(), tableOf(orders, "u", r))
	l.send(orders, "1")
	l.eventually("there is a dead letter", func() bool { return l.deadLetters() == 1 })
	for _, path := range []string{"/healthz", "/readyz", "/metrics", served.Path} {
		if status, body := l.do(http.MethodGet, l.status+path, nil, ""); status != http.StatusOK || body == "" {
			t.Errorf("GET %s was answered %d %s", path, status, body)
		}
	}
	paths := []string{
		"/", "/v1/streams", "/v1/streams/shop/orders", "/v1/problems", "/v1/deadletters", "/debug/pprof/",
		"/v1/streams/shop/orders/routes/a", "/v1/streams/shop/orders/deadletters/a?to=9", "/v1/streams/shop/orders/redrive/a",
		"/healthz", "/readyz", "/metrics", served.Path, "/v1/served/../streams", "/healthz/../v1/streams",
	}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			status, body := l.do(method, l.status+path, nil, "")
			shown := method == http.MethodGet && slices.Contains([]string{"/healthz", "/readyz", "/metrics", served.Path}, path)
			if !shown && status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s was answered %d %s", method, path, status, body)
			}
		}
	}
	if n := l.deadLetters(); n != 1 || len(s.ids()) != 1 {
		t.Errorf("after that there are %d dead letters", n)
	}
	if status, _ := l.do(http.MethodGet, l.admin+served.Path, nil, ""); status != http.StatusNotFound {
		t.Errorf("the operator's address answers %d to GET %s", status, served.Path)
	}
}

// A request that waits does not keep a data plane from stopping, and learns
// that nothing is certain any more.
func TestStopEndsRequestsThatWait(t *testing.T) {
	l := begin(t, t.TempDir(), tableOf(orders, "u"))
	var s *served.Snapshot
	l.eventually("something is served", func() bool { s = l.served(); return s != nil })
	answered := make(chan int, 1)
	go func() {
		status, _ := l.do(http.MethodGet, fmt.Sprintf("%s%s?instance=%s&version=%d", l.status, served.Path, s.Instance, s.Version), nil, "")
		answered <- status
	}()
	select {
	case status := <-answered:
		t.Fatalf("without news it was answered %d", status)
	case <-time.After(100 * time.Millisecond):
	}
	began := time.Now()
	l.stop()
	if status := <-answered; status != http.StatusServiceUnavailable || time.Since(began) > 5*time.Second {
		t.Errorf("it was answered %d after %v", status, time.Since(began))
	}
}
