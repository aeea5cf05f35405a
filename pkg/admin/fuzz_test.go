package admin

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/dispatch"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/routing"
)

// FuzzRequest: whatever path and query an operator sends, the answer is JSON of
// a known status, and looking neither creates nor removes anything.
func FuzzRequest(f *testing.F) {
	e, err := embedded.Open("data", embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := e.Close(); err != nil {
			f.Error(err)
		}
	})
	a := &routing.Route{ID: routeID, Kind: "Trigger", Namespace: "ns", Name: "a", Stream: broker, Subscriber: &routing.Destination{URL: "http://x"}}
	table := &routing.Table{Complete: true, Streams: map[routing.StreamName]*routing.Stream{
		broker: {Name: broker, Routes: []*routing.Route{a}}, channel: {Name: channel}, only: {Name: only},
	}}
	letters := dispatch.DeadLetterStream(broker, routeID)
	s, err := e.Stream(f.Context(), engine.StreamSpec{Name: letters, Retention: engine.KeepForever})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.Append(f.Context(), engine.Payload{Data: []byte("no event")}, engine.Payload{Data: nil}); err != nil {
		f.Fatal(err)
	}
	h := New(Options{
		Engine: e, Table: func() *routing.Table { return table },
		Routes: func(context.Context) []RouteState { return []RouteState{{Route: a}} },
		Redrive: func(_ context.Context, _ routing.StreamName, _ string, to engine.Seq) (Redriven, error) {
			return Redriven{Delivered: int(to)}, nil
		},
		Seek: func(_ context.Context, _ routing.StreamName, _ string, to engine.Seq) (engine.Sought, error) {
			return engine.Sought{Place: to}, nil
		},
		RemoveStream:     func(context.Context, routing.StreamName) error { return nil },
		DeadLetterStream: dispatch.DeadLetterStream, ParseDeadLetterStream: dispatch.ParseDeadLetterStream,
		NotReady: func() []string { return nil },
	})
	for _, path := range []string{
		"/healthz", "/readyz", "/v1/problems", "/v1/streams", "/v1/streams/ns/default", "/v1/streams/ns/only/routes/", "/v1/deadletters",
		"/v1/streams/ns/default/routes/trigger/ns/a", "/v1/streams/ns/default/deadletters/a", "/v1/streams/ns/default/redrive/a",
		"/v1/streams/ns/default/seek/a",
		"/v1/streams/../default", "/v1/streams/n%2Fs/default", "/v1/streams/ns/default/deadletters/..%2f..", "//v1//streams", "/metrics",
	} {
		for _, query := range []string{"", "kind=broker", "kind=channel&limit=0", "kind=broker&from=1&limit=1&data=true", "to=18446744073709551615&kind=broker", "from=-1", "%zz", "to=latest&kind=broker", "to=0001-01-01T00:00:00Z&kind=broker"} {
			f.Add(uint8(0), path, query)
			f.Add(uint8(1), path, query)
			f.Add(uint8(2), path, query)
		}
	}
	known := []int{200, 301, 307, 400, 404, 405, 409, 500}
	f.Fuzz(func(t *testing.T, which uint8, path, query string) {
		method := []string{"GET", "POST", "HEAD", "DELETE"}[which%4]
		target := &url.URL{Path: path, RawQuery: query}
		r := httptest.NewRequest(method, "/", nil)
		r.URL = target
		r.RequestURI = target.RequestURI()
		before, _ := e.Streams(t.Context())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !slices.Contains(known, w.Code) {
			t.Fatalf("%s %s is answered %d %s", method, target, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s %s: %s is no JSON", method, target, w.Body)
		}
		if after, _ := e.Streams(t.Context()); !slices.Equal(before, after) {
			t.Fatalf("%s %s has changed the streams from %v to %v", method, target, before, after)
		}
		if state, err := s.State(t.Context()); err != nil || method != "DELETE" && state.Head != 2 {
			t.Fatalf("%s %s: the dead letters are %+v, %v", method, target, state, err)
		}
	})
}
