package ingress

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// DefaultMaxBodyBytes bounds a request's body where Options say nothing.
const DefaultMaxBodyBytes = 10 << 20

const allowed = "POST, OPTIONS"

// Options of a handler. The zero value is usable.
type Options struct {
	// MaxBodyBytes bounds the body of a request; 0 means DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// Budget bounds the memory of requests; nil makes one by MaxBodyBytes. A
	// request that finds no room is answered 503.
	Budget *Budget
	// Observer is told of every POST. Nil for none.
	Observer Observer
	// Logger gets what went wrong in the engine, never anything of an event.
	// Nil for none.
	Logger *slog.Logger
}

// Observer is told what became of the events that came in. It is called
// concurrently, on the hot path, and must be quick.
type Observer interface {
	// Received reports one event: the stream that it was sent to, its type, the
	// status of the answer, and how long it took. The stream is the zero value
	// if there is none, and the type is empty if the request held no valid
	// event, so that no sender can invent streams.
	Received(stream routing.StreamName, eventType string, status int, took time.Duration)
}

type handler struct {
	gate *Gate
	Options
	// refused requests of HTTP/2 have not got their answer yet.
	refused atomic.Int64
}

// New returns the handler that takes events for all streams of the gate:
//
//	POST /{namespace}/{broker}
//	POST /channels/{namespace}/{channel}
//	POST /                                 with the Host of a channel
//
// It answers with the codes of Knative's broker ingress and channel receiver,
// and checks in their order: method, path, body, event, stream, hops. A 202
// leaves only after all events of the request are durable.
func New(gate *Gate, o Options) http.Handler {
	if o.MaxBodyBytes <= 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if o.Budget == nil {
		o.Budget = NewBudget(o.MaxBodyBytes)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &handler{gate: gate, Options: o}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor >= 2 {
		h.stream(w, r)
		return
	}
	h.serve(w, r)
}

const (
	// streamCost is what a request of HTTP/2 takes of the Budget, beside its
	// header: a connection carries many of them, so that the bound on connections
	// does not bound these.
	streamCost = 16 << 10
	// answerTime is how long a client of HTTP/2 may keep an answer waiting.
	answerTime = 10 * time.Second
	// maxRefused is how many requests may wait for their client to take a 503.
	maxRefused = 1000
)

// stream serves a request of HTTP/2. What it takes is held until the answer has
// gone out: a client may refuse to take it.
func (h *handler) stream(w http.ResponseWriter, r *http.Request) {
	cost := streamCost + headerSize(r.Header)
	if !h.Budget.take(cost) {
		h.refuse(w, r)
		return
	}
	defer h.Budget.give(cost)
	if status := h.serve(w, r); status >= http.StatusBadRequest {
		flush(w, r)
	}
}

// refuse answers 503 to a request of HTTP/2, or ends its connection if too many
// clients do not take that answer.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request) {
	if h.Observer != nil {
		h.Observer.Received(routing.StreamName{}, "", Status(errBusy), 0)
	}
	defer h.refused.Add(-1)
	if h.refused.Add(1) > maxRefused {
		hangUp(r.Context())
		return
	}
	// Without a text, which a client could keep waiting more easily.
	_, _, retryAfter := answerTo(errBusy)
	w.Header().Set("Retry-After", retryAfter)
	w.WriteHeader(Status(errBusy))
	flush(w, r)
}

// flush waits until the answer has gone out, for a time.
func flush(w http.ResponseWriter, r *http.Request) {
	if r.Context().Err() != nil {
		return // a deadline of a stream that was reset would outlive it
	}
	answer := http.NewResponseController(w)
	_ = answer.SetWriteDeadline(time.Now().Add(answerTime)) // an error of it shows in the next line
	_ = answer.Flush()                                      // who does not take it has gone
}

// headerSize is about how many bytes the fields of a header take.
func headerSize(h http.Header) int64 {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return int64(n)
}

// serve answers a request and returns the status.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) int {
	switch r.Method {
	case http.MethodPost:
		return h.post(w, r)
	case http.MethodOptions:
		// CloudEvents' abuse protection for webhooks: from anywhere, any rate.
		w.Header().Set("Allow", allowed)
		w.Header().Set("WebHook-Allowed-Origin", "*")
		w.Header().Set("WebHook-Allowed-Rate", "*")
		w.WriteHeader(http.StatusOK)
		return http.StatusOK
	}
	return answer(w, errMethod)
}

func (h *handler) post(w http.ResponseWriter, r *http.Request) int {
	start := time.Now()
	body := newBody(h.Budget)
	defer body.release()
	to, events, err := h.read(w, r, body)
	if err == nil {
		// A sender that goes away now does not take back what it sent.
		err = h.gate.Admit(context.WithoutCancel(r.Context()), to, FromOutside(), events...)
		h.log(to, err)
	}
	if h.Observer != nil {
		h.observe(to, events, Status(err), time.Since(start))
	}
	return answer(w, err)
}

// read finds the stream and the events of a request. The events' data lies in
// body.
func (h *handler) read(w http.ResponseWriter, r *http.Request, body *body) (routing.StreamName, []cloudevent.Event, error) {
	to, err := h.gate.address(r.URL.Path, r.Host, r.URL.RawPath != "")
	if err != nil {
		return to, nil, err
	}
	if err := body.read(w, r, h.MaxBodyBytes); err != nil {
		return to, nil, err
	}
	events, err := cloudevent.FromHTTP(r.Header, body.bytes)
	return to, events, err
}

// log tells the operator what the sender is not told.
func (h *handler) log(to routing.StreamName, err error) {
	if Status(err) == http.StatusInternalServerError {
		h.Logger.Error("events could not be stored; the sender got 500 and may send them again", "stream", to.String(), "error", err)
	}
}

func (h *handler) observe(to routing.StreamName, events []cloudevent.Event, status int, took time.Duration) {
	if _, ok := h.gate.Lookup(to); !ok {
		to = routing.StreamName{}
	}
	if len(events) == 0 {
		h.Observer.Received(to, "", status, took)
	}
	for i := range events {
		h.Observer.Received(to, events[i].Type(), status, took)
	}
}
