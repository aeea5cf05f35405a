package harness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// StreamState is what the admin address tells of a stream, as far as tests
// look at it.
type StreamState struct {
	Kind       string       `json:"kind"`
	Namespace  string       `json:"namespace"`
	Name       string       `json:"name"`
	Gone       bool         `json:"gone"`
	Head       uint64       `json:"head"`
	Records    uint64       `json:"records"`
	Retention  string       `json:"retention"`
	RouteCount int          `json:"routeCount"`
	Lag        uint64       `json:"lag"`
	Problem    string       `json:"problem"`
	Routes     []RouteState `json:"routes"`
}

// RouteState is what it tells of a route.
type RouteState struct {
	Name        string `json:"name"`
	Problem     string `json:"problem"`
	Lag         uint64 `json:"lag"`
	InFlight    int    `json:"inFlight"`
	Parked      int    `json:"parked"`
	DeadLetters int    `json:"deadLetters"`
	LastError   string `json:"lastError"`
}

// Problem is what it tells of an object that was not taken as it is.
type Problem struct {
	File   string `json:"file"`
	Object string `json:"object"`
	Reason string `json:"reason"`
}

// Streams returns the states of all streams of the manifests, without their
// routes.
func (l *Leat) Streams() []StreamState {
	l.t.Helper()
	var streams []StreamState
	l.get("/v1/streams", &streams)
	return slices.DeleteFunc(streams, func(s StreamState) bool { return s.Gone })
}

// Routes returns the states of all routes that are served.
func (l *Leat) Routes() []RouteState {
	l.t.Helper()
	var routes []RouteState
	for _, s := range l.Streams() {
		var full StreamState
		l.get(fmt.Sprintf("/v1/streams/%s/%s?kind=%s", s.Namespace, s.Name, s.Kind), &full)
		for _, r := range full.Routes {
			if r.Problem == "" {
				routes = append(routes, r)
			}
		}
	}
	return routes
}

// Route returns the state of the route with this name, and fails the test if
// it is not served.
func (l *Leat) Route(name string) RouteState {
	l.t.Helper()
	routes := l.Routes()
	i := slices.IndexFunc(routes, func(r RouteState) bool { return r.Name == name })
	if i < 0 {
		l.t.Fatalf("no route %s is served, but these: %+v", name, routes)
	}
	return routes[i]
}

// WaitRoute waits until a route of this name is served.
func (l *Leat) WaitRoute(name string) {
	l.t.Helper()
	Eventually(l.t, "route "+name+" is served", func() bool {
		return slices.ContainsFunc(l.Routes(), func(r RouteState) bool { return r.Name == name })
	})
}

// WaitProblem waits until an object is reported as a problem for a reason that
// contains the text.
func (l *Leat) WaitProblem(object, reason string) {
	l.t.Helper()
	var problems []Problem
	Eventually(l.t, object+" is reported because of "+reason, func() bool {
		l.get("/v1/problems", &problems)
		return slices.ContainsFunc(problems, func(p Problem) bool {
			return strings.Contains(p.Object, object) && strings.Contains(p.Reason, reason)
		})
	})
}

// WaitSettled waits until every route has settled every event. Then nothing
// more happens until somebody sends something: what has not been delivered will
// not be.
func (l *Leat) WaitSettled() {
	l.t.Helper()
	// One look sees the streams one after the other, and an event may wander
	// behind it. If a second look finds no new event, none did.
	var before, now []StreamState
	Eventually(l.t, "all events are settled", func() bool {
		before, now = now, l.Streams()
		return slices.EqualFunc(before, now, func(a, b StreamState) bool {
			return a.Name == b.Name && a.Kind == b.Kind && a.Head == b.Head &&
				a.Lag+b.Lag == 0 && a.Problem+b.Problem == ""
		})
	})
}

// Change writes manifests like Apply and waits until they have effect.
func (l *Leat) Change(file string, manifests ...string) {
	l.t.Helper()
	l.changes++
	marker := fmt.Sprintf("marker-%d", l.changes)
	l.Apply(file, append(manifests, Broker(marker))...)
	Eventually(l.t, "the changed manifests have effect", func() bool {
		return slices.ContainsFunc(l.Streams(), func(s StreamState) bool { return s.Name == marker })
	})
}

func (l *Leat) get(path string, into any) {
	l.t.Helper()
	r := Do(l.t, http.MethodGet, l.Admin+path, nil, nil)
	if r.Status != http.StatusOK {
		l.t.Fatalf("GET %s was answered %d: %s", path, r.Status, r.Body)
	}
	if err := json.Unmarshal([]byte(r.Body), into); err != nil {
		l.t.Fatalf("GET %s: %v", path, err)
	}
}
