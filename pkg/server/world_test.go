package server_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
	"leat.dev/leat/pkg/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that is to happen.
const patience = 30 * time.Second

// life is one run of a data plane whose tables a test makes up.
type life struct {
	t      *testing.T
	source source
	log    *journal
	// events, admin and status are URLs.
	events, admin, status string
	ended                 chan error
	end                   func()
}

// source publishes what is sent to it.
type source chan *routing.Table

func (s source) Run(ctx context.Context, publish func(*routing.Table)) error {
	for {
		select {
		case t := <-s:
			publish(t)
		case <-ctx.Done():
			return nil
		}
	}
}

// begin starts a data plane on a folder and gives it its first table.
func begin(t *testing.T, dir string, first *routing.Table) *life {
	t.Helper()
	l := &life{t: t, source: make(source), log: &journal{}, ended: make(chan error, 1)}
	var ctx context.Context
	ctx, l.end = context.WithCancel(context.Background())
	go func() {
		l.ended <- server.Run(ctx, server.Options{
			Version: "test", Logger: slog.New(slog.NewJSONHandler(l.log, nil)), Data: dir,
			Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Status: "127.0.0.1:0",
			Source:        func(string) (routing.Source, error) { return l.source, nil },
			MaxEventBytes: 1 << 20, Grace: 10 * time.Second, DeliveryTimeout: time.Minute,
			Fatal: func(msg string) { panic(msg) },
		})
	}()
	t.Cleanup(l.stop)
	l.apply(first)
	l.eventually("it serves", func() bool {
		said := l.log.find("serving")
		if said == nil {
			return false
		}
		l.events, l.admin, l.status = "http://"+said["listen"], "http://"+said["admin"], "http://"+said["status"]
		return true
	})
	return l
}

// stop stops the data plane in order. Stopping twice is legal.
func (l *life) stop() {
	l.t.Helper()
	l.end()
	select {
	case err, first := <-l.ended:
		if err != nil {
			l.t.Errorf("Run: %v", err)
		}
		if first {
			close(l.ended)
		}
	case <-time.After(patience):
		l.t.Fatal("it does not stop")
	}
	http.DefaultClient.CloseIdleConnections()
}

func (l *life) apply(t *routing.Table) {
	l.t.Helper()
	select {
	case l.source <- t:
	case err := <-l.ended:
		l.t.Fatalf("it has ended: %v", err)
	}
}

func (l *life) eventually(what string, f func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("not in time: %s", what)
		}
	}
}

// do makes a request and returns the status and the body.
func (l *life) do(method, url string, header http.Header, body string) (int, string) {
	l.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Errorf("%s %s: %v", method, url, err)
		return 0, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// post sends an event and returns the status.
func (l *life) post(to routing.StreamName, id string) int {
	l.t.Helper()
	status, _ := l.do(http.MethodPost, l.events+to.Path(), http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {id}, "Ce-Source": {"/test"}, "Ce-Type": {"t"},
	}, "")
	return status
}

func (l *life) send(to routing.StreamName, ids ...string) {
	l.t.Helper()
	for _, id := range ids {
		if status := l.post(to, id); status != http.StatusAccepted {
			l.t.Fatalf("event %s was answered %d", id, status)
		}
	}
}

// served is what the status address says, nil if it says nothing.
func (l *life) served() *served.Snapshot {
	l.t.Helper()
	status, body := l.do(http.MethodGet, l.status+served.Path, nil, "")
	if status != http.StatusOK {
		return nil
	}
	s := &served.Snapshot{}
	if err := json.Unmarshal([]byte(body), s); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// awaitServed waits until exactly this route is served.
func (l *life) awaitServed(r *routing.Route) {
	l.t.Helper()
	l.eventually(r.String()+" is served", func() bool {
		s := l.served()
		return s != nil && s.Streams[r.Stream.String()].Routes[r.ID].Fingerprint == r.Fingerprint()
	})
}

func (l *life) awaitRemoved(name routing.StreamName, uid string) {
	l.t.Helper()
	l.eventually(name.String()+" is removed", func() bool {
		s := l.served()
		return s != nil && s.Removed[name.String()] == uid
	})
}

// get asks the operator's API.
func (l *life) get(path string, into any) {
	l.t.Helper()
	status, body := l.do(http.MethodGet, l.admin+path, nil, "")
	if status != http.StatusOK || json.Unmarshal([]byte(body), into) != nil {
		l.t.Fatalf("GET %s was answered %d %s", path, status, body)
	}
}

func (l *life) deadLetters() (n int) {
	l.t.Helper()
	var stores []struct{ Count int }
	l.get("/v1/deadletters", &stores)
	for _, s := range stores {
		n += s.Count
	}
	return n
}

// onDisk lists what a folder has that no data plane uses.
func onDisk(t *testing.T, dir string) []string {
	t.Helper()
	e, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	names, err := e.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// journal is a log that a test looks into.
type journal struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	j.lines = append(j.lines, fields)
	return len(line), nil
}

// find returns the texts and numbers of the last line with this message.
func (j *journal) find(msg string) map[string]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, fields := range slices.Backward(j.lines) {
		if fields["msg"] != msg {
			continue
		}
		found := map[string]string{}
		for k, v := range fields {
			text, _ := json.Marshal(v)
			if s, ok := v.(string); ok {
				text = []byte(s)
			}
			found[k] = string(text)
		}
		return found
	}
	return nil
}

// subscriber records the IDs that it gets, with the paths, and answers with a
// status.
type subscriber struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string
	status int
	// hold, if there is one, keeps every request until it is closed.
	hold chan struct{}
}

func subscribe(t *testing.T, status int) *subscriber {
	s := &subscriber{status: status}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.got = append(s.got, r.Header.Get("Ce-Id")+" at "+r.URL.Path)
		status, hold := s.status, s.hold
		s.mu.Unlock()
		if hold != nil {
			<-hold
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *subscriber) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// ids are those that came, sorted and each once.
func (s *subscriber) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := slices.Clone(s.got)
	slices.Sort(got)
	return slices.Compact(got)
}

var orders = routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: "orders"}

// routeTo is a route of the stream with a UID of its own.
func routeTo(s *subscriber, stream routing.StreamName, name string) *routing.Route {
	return &routing.Route{
		ID: "trigger/" + stream.Namespace + "/" + name + "/uid-" + name, Kind: "Trigger", Namespace: stream.Namespace, Name: name,
		Stream: stream, Subscriber: &routing.Destination{URL: s.URL}, MaxInFlight: 10,
		Delivery: routing.Delivery{Retry: 0, Backoff: routing.BackoffLinear, BackoffDelay: time.Second},
	}
}

var generation uint64

// tableOf is a complete table of one stream, with the routes in order.
func tableOf(name routing.StreamName, uid string, routes ...*routing.Route) *routing.Table {
	generation++
	slices.SortFunc(routes, func(a, b *routing.Route) int { return cmp.Compare(a.ID, b.ID) })
	return &routing.Table{
		Generation: generation, Complete: true,
		Streams: map[routing.StreamName]*routing.Stream{name: {Name: name, UID: uid, Routes: slices.Clone(routes)}},
	}
}

// removing is a complete table in which a stream's object is being deleted.
func removing(name routing.StreamName, uid string) *routing.Table {
	generation++
	return &routing.Table{Generation: generation, Complete: true, Removed: map[routing.StreamName]string{name: uid}}
}

// removeFrom removes some streams from a folder that no data plane uses.
func removeFrom(t *testing.T, dir string, these func(name string) bool) {
	t.Helper()
	e, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	names, err := e.Streams(t.Context())
	for _, name := range names {
		if err == nil && these(name) {
			err = e.Remove(t.Context(), name)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
