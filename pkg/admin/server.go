package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Options are what is shown. All but Metrics are needed. The functions are
// called concurrently.
type Options struct {
	// Engine holds the streams and dead letters.
	Engine engine.Engine
	// Table returns the present table, nil before the first one.
	Table func() *routing.Table
	// Routes returns the state of every route that has a consumer.
	Routes func(context.Context) []RouteState
	// Redrive makes one attempt with each of a route's dead letters up to to,
	// or with all there are if to is 0. With an error it says what it came to
	// before that.
	Redrive func(ctx context.Context, stream routing.StreamName, route string, to engine.Seq) (Redriven, error)
	// Seek moves a route, as engine.Stream does.
	Seek func(ctx context.Context, stream routing.StreamName, route string, to engine.Seq) (engine.Sought, error)
	// RemoveStream deletes a stream that is not in the present table.
	RemoveStream func(ctx context.Context, stream routing.StreamName) error
	// DeadLetterStream names the engine's stream with a route's dead letters,
	// and ParseDeadLetterStream says whose they are, false if it is none.
	DeadLetterStream      func(stream routing.StreamName, route string) string
	ParseDeadLetterStream func(name string) (stream routing.StreamName, route string, ok bool)
	// NotReady returns why events are not taken now, nothing if they are.
	NotReady func() []string
	// Metrics answers /metrics. Nil answers 404.
	Metrics http.Handler
}

// RouteState is the state of a route that has a consumer.
type RouteState struct {
	Route       *routing.Route
	Problem     string
	Consumer    engine.ConsumerState
	Counters    Counters
	DeadLetters uint64
	LastError   string
	LastErrorAt time.Time
}

// New returns the handler of the operator's API. Requests that change
// something are refused when a browser sends them from another origin.
func New(o Options) http.Handler {
	a := &api{o}
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /healthz":                                                 func(*http.Request) (any, error) { return map[string]bool{"alive": true}, nil },
		"GET /v1/problems":                                             a.problems,
		"GET /v1/streams":                                              a.streams,
		"GET /v1/streams/{namespace}/{name}":                           a.stream,
		"DELETE /v1/streams/{namespace}/{name}":                        a.removeStream,
		"GET /v1/streams/{namespace}/{name}/routes/{route...}":         a.route,
		"GET /v1/streams/{namespace}/{name}/deadletters/{route...}":    a.deadLetters,
		"DELETE /v1/streams/{namespace}/{name}/deadletters/{route...}": a.drop,
		"POST /v1/streams/{namespace}/{name}/redrive/{route...}":       a.redrive,
		"POST /v1/streams/{namespace}/{name}/seek/{route...}":          a.seek,
		"GET /v1/deadletters":                                          a.stores,
		"/":                                                            nowhere,
	} {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("GET /readyz", a.ready)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(handler(func(*http.Request) (any, error) {
		return nil, fail(http.StatusForbidden, "this came from a page of another origin; use the leat command or curl")
	}))
	return protection.Handler(mux)
}

// handler returns what to answer with, or an error; answer is the one place
// that writes.
type handler func(*http.Request) (any, error)

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, err := h(r)
	if err == nil {
		answer(w, http.StatusOK, v)
		return
	}
	status := http.StatusInternalServerError
	var known *Error
	switch {
	case errors.As(err, &known):
		status = known.Status
	case errors.Is(err, engine.ErrFull):
		status = http.StatusInsufficientStorage
	}
	answer(w, status, map[string]string{"error": err.Error()})
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("BUG: the answer is not JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who does not read it has gone
}

// Error is an answer of the server other than 2xx.
type Error struct {
	Status int
	// Message says what happened and what to do.
	Message string
}

func (e *Error) Error() string { return e.Message }

func fail(status int, message string) error { return &Error{status, message} }

func nowhere(r *http.Request) (any, error) {
	return nil, fail(http.StatusNotFound, "there is no "+r.Method+" "+r.URL.Path+"; begin with GET /v1/streams")
}

type api struct{ Options }

func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	r := Readiness{Reasons: a.NotReady()}
	r.Ready = len(r.Reasons) == 0
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, r)
}

// table returns the present table, an empty one before the first.
func (a *api) table() *routing.Table {
	if t := a.Table(); t != nil {
		return t
	}
	return &routing.Table{}
}

func (a *api) problems(*http.Request) (any, error) {
	problems := []Problem{}
	for _, p := range a.table().Problems {
		problems = append(problems, Problem(p))
	}
	return problems, nil
}

// find returns the stream that a request is about. A stream that is gone is
// found if its kind is said: it may have left dead letters.
func (a *api) find(r *http.Request) (routing.StreamName, error) {
	name := routing.StreamName{
		Kind:      routing.Kind(r.URL.Query().Get("kind")),
		Namespace: r.PathValue("namespace"), Name: r.PathValue("name"),
	}
	kinds := []routing.Kind{routing.Broker, routing.Channel}
	if name.Kind != "" {
		if !slices.Contains(kinds, name.Kind) {
			return name, fail(http.StatusBadRequest, "kind must be broker or channel")
		}
		return name, nil
	}
	table := a.table()
	var found []routing.StreamName
	for _, kind := range kinds {
		name.Kind = kind
		if table.Streams[name] != nil {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return name, noStream(name)
	}
	return name, fail(http.StatusConflict, "there is a broker and a channel of that name; add ?kind=broker or ?kind=channel")
}

func noStream(name routing.StreamName) error {
	return fail(http.StatusNotFound, "there is no broker or channel "+name.Name+" in the namespace "+name.Namespace+"; GET /v1/streams shows all there are")
}
