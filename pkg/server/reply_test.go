package server_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"leat.dev/leat/pkg/routing"
)

// The first deliveries after a start come before the last route is opened. Their
// replies are stored, and their subscriber is not asked again.
func TestReplyBeforeAllRoutesAreOpen(t *testing.T) {
	dir := t.TempDir()
	const events, others = 200, 200
	var mu sync.Mutex
	asked := map[string]int{}
	replying := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Ce-Id")
		mu.Lock()
		asked[id]++
		mu.Unlock()
		for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "/reply", "Ce-Type": "reply"} {
			w.Header().Set(name, value)
		}
	}))
	t.Cleanup(replying.Close)
	route := routeTo(&subscriber{Server: replying}, orders, "a-first")
	route.Filter.Filters = []routing.Expr{{Exact: map[string]string{"type": "t"}}}

	begin(t, dir, tableOf(orders, "1", route)).stop()
	unresolved := *route
	unresolved.Unresolved = "its subscriber is not there yet"
	l := begin(t, dir, tableOf(orders, "1", &unresolved))
	for n := range events {
		l.send(orders, strconv.Itoa(n))
	}
	l.stop()

	routes := []*routing.Route{route}
	sink := subscribe(t, http.StatusAccepted)
	for n := range others {
		routes = append(routes, routeTo(sink, orders, "b-"+strconv.Itoa(n)))
	}
	l = begin(t, dir, tableOf(orders, "1", routes...))
	defer l.stop()
	l.eventually("all events have come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(asked) == events
	})
	mu.Lock()
	defer mu.Unlock()
	again := 0
	for _, times := range asked {
		again += times - 1
	}
	if again > 0 {
		t.Errorf("the subscriber was asked %d times again for events that it had replied to", again)
	}
}
