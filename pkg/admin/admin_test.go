package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/dispatch"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	broker  = routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: "default"}
	channel = routing.StreamName{Kind: routing.Channel, Namespace: "ns", Name: "default"}
	only    = routing.StreamName{Kind: routing.Channel, Namespace: "ns", Name: "only"}
	ref     = StreamRef{"broker", "ns", "default"}
)

const routeID = "trigger/ns/a"

// world is a server over a real engine, and its client.
type world struct {
	t        *testing.T
	engine   engine.Engine
	table    *routing.Table
	states   []RouteState
	notReady []string
	redrive  func(routing.StreamName, string, engine.Seq) (Redriven, error)
	seek     func(routing.StreamName, string, engine.Seq) (engine.Sought, error)
	server   *httptest.Server
	client   *Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	e, err := embedded.Open("data", embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	a := &routing.Route{
		ID: routeID, Kind: "Trigger", Namespace: "ns", Name: "a", Stream: broker, MaxInFlight: 7,
		Subscriber: &routing.Destination{URL: "http://user:secret@subscriber.example/path"},
	}
	lost := &routing.Route{ID: "trigger/ns/lost", Kind: "Trigger", Namespace: "ns", Name: "lost", Stream: broker, Unresolved: "there is no such Service"}
	w := &world{t: t, engine: e, table: &routing.Table{
		Streams: map[routing.StreamName]*routing.Stream{
			broker:  {Name: broker, Retention: time.Hour, Routes: []*routing.Route{a, lost}},
			channel: {Name: channel, Hosts: []string{"default-kn-channel.ns.svc.cluster.local"}},
			only:    {Name: only},
		},
		Problems: []routing.Problem{{File: "f.yaml", Object: "Trigger ns/b", Reason: "no broker"}},
	}}
	w.states = []RouteState{{
		Route: a, Consumer: engine.ConsumerState{Floor: 3, Lag: 2, InFlight: 1, Parked: 1, Oldest: time.Unix(1000, 0)},
		Counters: Counters{Delivered: 9}, DeadLetters: 4, LastError: "it broke", LastErrorAt: time.Unix(2000, 0),
	}}
	w.server = httptest.NewServer(New(Options{
		Engine: e, Table: func() *routing.Table { return w.table },
		Routes: func(context.Context) []RouteState { return w.states },
		Redrive: func(_ context.Context, s routing.StreamName, route string, to engine.Seq) (Redriven, error) {
			return w.redrive(s, route, to)
		},
		Seek: func(_ context.Context, s routing.StreamName, route string, to engine.Seq) (engine.Sought, error) {
			return w.seek(s, route, to)
		},
		RemoveStream:     w.removeStream,
		DeadLetterStream: dispatch.DeadLetterStream, ParseDeadLetterStream: dispatch.ParseDeadLetterStream,
		NotReady: func() []string { return w.notReady },
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
	}))
	t.Cleanup(func() {
		w.server.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.client, err = NewClient(strings.TrimPrefix(w.server.URL, "http://")); err != nil {
		t.Fatal(err)
	}
	return w
}

// bury appends dead letters to a route's own.
func (w *world) bury(stream routing.StreamName, route string, ids ...string) engine.Stream {
	w.t.Helper()
	s, err := w.engine.Stream(w.t.Context(), engine.StreamSpec{Name: dispatch.DeadLetterStream(stream, route), Retention: engine.KeepForever})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, id := range ids {
		var e cloudevent.Event
		e.Set("id", id)
		e.Set("source", "/s")
		e.Set("type", "t")
		e.Set("knativeerrordest", "http://x")
		e.SetInt("knativeerrorcode", 503)
		e.Set("knativeerrordata", "bm8=")
		e.SetData([]byte(`"private"`))
		if _, err := s.Append(w.t.Context(), engine.Payload{Data: e.AppendStored(nil)}); err != nil {
			w.t.Fatal(err)
		}
	}
	return s
}

// raw makes a request and returns the answer.
func (w *world) raw(method, path string, header ...string) (int, string) {
	w.t.Helper()
	req, _ := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestHealthAndReadiness(t *testing.T) {
	w := newWorld(t)
	if status, _ := w.raw("GET", "/healthz"); status != 200 {
		t.Errorf("/healthz answered %d", status)
	}
	if status, body := w.raw("GET", "/metrics"); status != 200 || body != "metrics" {
		t.Errorf("/metrics answered %d, %s", status, body)
	}
	if status, _ := w.raw("GET", "/readyz"); status != 200 {
		t.Errorf("/readyz answered %d", status)
	}
	w.notReady = []string{"stopping"}
	if status, _ := w.raw("GET", "/readyz"); status != 503 {
		t.Errorf("/readyz answered %d", status)
	}
	got, err := w.client.Ready(t.Context())
	if err != nil || got.Ready || len(got.Reasons) != 1 || got.Reasons[0] != "stopping" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStreams(t *testing.T) {
	w := newWorld(t)
	s, err := w.engine.Stream(t.Context(), engine.StreamSpec{Name: broker.String(), Retention: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), engine.Payload{Data: []byte("1")}, engine.Payload{Data: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	list, err := w.client.Streams(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("got %+v, %v", list, err)
	}
	b := list[0]
	if b.Kind != "broker" || b.Records != 2 || b.Head != 2 || b.First != 1 || b.Oldest == nil || b.Retention != "1h0m0s" ||
		b.RouteCount != 2 || b.Lag != 2 || b.DeadLetters != 4 || b.Routes != nil {
		t.Errorf("the broker is %+v", b)
	}
	if c := list[1]; c.Kind != "channel" || c.Records != 0 || c.Problem != "" || len(c.Hosts) != 1 {
		t.Errorf("the channel is %+v", c)
	}
	if names, _ := w.engine.Streams(t.Context()); len(names) != 1 {
		t.Errorf("looking has created streams: %v", names)
	}
}

func TestStreamAndRoutes(t *testing.T) {
	w := newWorld(t)
	s, err := w.client.Stream(t.Context(), ref)
	if err != nil || len(s.Routes) != 2 {
		t.Fatalf("got %+v, %v", s, err)
	}
	a, lost := s.Routes[0], s.Routes[1]
	if a.Subscriber != "http://user:xxxxx@subscriber.example/path" {
		t.Errorf("the subscriber is shown as %s", a.Subscriber)
	}
	if a.Floor != 3 || a.Lag != 2 || a.InFlight != 1 || a.Parked != 1 || a.DeadLetters != 4 || a.MaxInFlight != 7 ||
		a.Counters.Delivered != 9 || a.LastError != "it broke" || !a.LastErrorAt.Equal(time.Unix(2000, 0)) || !a.Oldest.Equal(time.Unix(1000, 0)) {
		t.Errorf("the route is %+v", a)
	}
	if lost.Problem != "there is no such Service" {
		t.Errorf("the route is %+v", lost)
	}
	for _, name := range []string{routeID, "a", "ns/a"} {
		if r, err := w.client.Route(t.Context(), ref, name); err != nil || r.ID != routeID {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}

func TestProblems(t *testing.T) {
	w := newWorld(t)
	got, err := w.client.Problems(t.Context())
	if err != nil || len(got) != 1 || got[0] != (Problem{"f.yaml", "Trigger ns/b", "no broker"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	w.table = nil
	if got, err := w.client.Problems(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("before the first table: %+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/v2", 404, "GET /v1/streams"},
		{"POST", "/v1/streams", 404, "begin with"},
		{"GET", "/v1/streams/ns/nobody", 404, "GET /v1/streams shows"},
		{"GET", "/v1/streams/ns/nobody?kind=broker", 404, "GET /v1/streams shows"},
		{"GET", "/v1/streams/ns/default", 409, "add ?kind=broker"},
		{"GET", "/v1/streams/ns/default?kind=queue", 400, "broker or channel"},
		{"GET", "/v1/streams/ns/only/routes/x", 404, "shows the ids"},
		{"GET", "/v1/streams/ns/only/deadletters/x", 404, "shows the ids"},
		{"GET", "/v1/streams/ns/default/deadletters/a?kind=broker&limit=-1", 400, "limit must be a number"},
		{"DELETE", "/v1/streams/ns/default/deadletters/a?kind=broker", 400, "?to=SEQ"},
		{"DELETE", "/v1/streams/ns/default/deadletters/a?kind=broker&to=x", 400, "to must be a number"},
	} {
		status, body := w.raw(tc.method, tc.path)
		var answer struct{ Error string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%s %s: %q is not JSON", tc.method, tc.path, body)
		}
		if status != tc.status || !strings.Contains(answer.Error, tc.says) {
			t.Errorf("%s %s: %d %q, want %d with %q", tc.method, tc.path, status, answer.Error, tc.status, tc.says)
		}
	}
	if status, body := w.raw("GET", "/v1/streams/ns/only"); status != 200 {
		t.Errorf("a name that is enough: %d %s", status, body)
	}
}

// A page in a browser cannot drop dead letters.
func TestOtherOriginsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.bury(broker, routeID, "1")
	status, body := w.raw("DELETE", "/v1/streams/ns/default/deadletters/a?kind=broker&to=1", "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example")
	if status != 403 || !strings.Contains(body, `"error"`) {
		t.Errorf("answered %d %s", status, body)
	}
}

func TestDeadLetters(t *testing.T) {
	w := newWorld(t)
	if p, err := w.client.DeadLetters(t.Context(), ref, routeID, PageOptions{}); err != nil || p.Count != 0 || p.DeadLetters == nil {
		t.Errorf("before there are any: %+v, %v", p, err)
	}
	s := w.bury(broker, routeID, "1", "2", "3")
	if _, err := s.Append(t.Context(), engine.Payload{Data: []byte("garbage")}); err != nil {
		t.Fatal(err)
	}
	p, err := w.client.DeadLetters(t.Context(), ref, routeID, PageOptions{Limit: 2})
	if err != nil || p.Count != 4 || p.First != 1 || p.Head != 4 || p.Next != 3 || len(p.DeadLetters) != 2 {
		t.Fatalf("got %+v, %v", p, err)
	}
	got := p.DeadLetters[0]
	if got.Time.IsZero() {
		t.Error("the time is not there")
	}
	got.Time = time.Time{}
	if want := (DeadLetter{Seq: 1, ID: "1", Source: "/s", Type: "t", ErrorDest: "http://x", ErrorCode: "503", ErrorData: "bm8="}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p, err = w.client.DeadLetters(t.Context(), ref, "a", PageOptions{From: 3, Data: true})
	if err != nil || p.Next != 0 || len(p.DeadLetters) != 2 {
		t.Fatalf("got %+v, %v", p, err)
	}
	var shown struct{ Data string }
	if err := json.Unmarshal(p.DeadLetters[0].Event, &shown); err != nil || shown.Data != "private" {
		t.Errorf("the event is %s", p.DeadLetters[0].Event)
	}
	if p.DeadLetters[1].Problem == "" {
		t.Errorf("garbage is shown as %+v", p.DeadLetters[1])
	}
}

func TestEventDataIsNotShownUnasked(t *testing.T) {
	w := newWorld(t)
	w.bury(broker, routeID, "1")
	if _, body := w.raw("GET", "/v1/streams/ns/default/deadletters/a?kind=broker"); strings.Contains(body, "private") {
		t.Errorf("the answer holds event data: %s", body)
	}
}

func TestDrop(t *testing.T) {
	w := newWorld(t)
	w.bury(broker, routeID, "1", "2", "3")
	for _, tc := range []struct {
		to   engine.Seq
		want uint64
	}{{2, 2}, {2, 0}, {99, 1}, {99, 0}} {
		if got, err := w.client.Drop(t.Context(), ref, routeID, tc.to); err != nil || got.Dropped != tc.want {
			t.Errorf("up to %d: dropped %d, %v; want %d", tc.to, got.Dropped, err, tc.want)
		}
	}
	if p, err := w.client.DeadLetters(t.Context(), ref, routeID, PageOptions{}); err != nil || p.Count != 0 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestRedrive(t *testing.T) {
	w := newWorld(t)
	w.redrive = func(s routing.StreamName, route string, to engine.Seq) (Redriven, error) {
		if s != broker || route != routeID || to != 5 {
			return Redriven{}, fmt.Errorf("asked for %v %s %d", s, route, to)
		}
		return Redriven{Delivered: 2, Failed: 1, LastError: "no"}, nil
	}
	if got, err := w.client.Redrive(t.Context(), ref, "a", 5); err != nil || got != (Redriven{2, 1, "no"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	w.redrive = func(routing.StreamName, string, engine.Seq) (Redriven, error) {
		return Redriven{Delivered: 1}, errors.New("the store is full")
	}
	_, err := w.client.Redrive(t.Context(), ref, "a", 0)
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != 503 || !strings.Contains(refused.Message, "after 1 delivered and 0 failed") {
		t.Errorf("got %v", err)
	}
}

// The dead letters of a route that is gone can be found, looked at and dropped.
func TestStoresOfRoutesThatAreGone(t *testing.T) {
	w := newWorld(t)
	w.bury(broker, routeID, "1")
	w.bury(broker, "trigger/ns/gone", "1", "2")
	w.bury(routing.StreamName{Kind: "broker", Namespace: "ns", Name: "gone"}, "trigger/ns/x", "1")
	w.bury(broker, "trigger/ns/empty")
	stores, err := w.client.DeadLetterStores(t.Context())
	if err != nil || len(stores) != 3 {
		t.Fatalf("got %+v, %v", stores, err)
	}
	for _, s := range stores {
		if want := s.Route != routeID; s.Gone != want || s.Oldest == nil {
			t.Errorf("got %+v", s)
		}
		of := StreamRef{s.Kind, s.Namespace, s.Name}
		if p, err := w.client.DeadLetters(t.Context(), of, s.Route, PageOptions{}); err != nil || p.Count != s.Count {
			t.Errorf("%s: got %+v, %v", s.Route, p, err)
		}
		if d, err := w.client.Drop(t.Context(), of, s.Route, 10); err != nil || d.Dropped != s.Count {
			t.Errorf("%s: dropped %+v, %v", s.Route, d, err)
		}
	}
}

func TestClientErrors(t *testing.T) {
	if _, err := NewClient("://"); err == nil {
		t.Error("a broken address was taken")
	}
	c, err := NewClient("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Streams(t.Context()); err == nil || !strings.Contains(err.Error(), "leat serve") {
		t.Errorf("got %v", err)
	}
}
