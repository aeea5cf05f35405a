package ingress

import (
	"context"
	"log/slog"
	"net/http"
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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &handler{gate, o}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		h.post(w, r)
	case http.MethodOptions:
		// CloudEvents' abuse protection for webhooks: from anywhere, any rate.
		w.Header().Set("Allow", allowed)
		w.Header().Set("WebHook-Allowed-Origin", "*")
		w.Header().Set("WebHook-Allowed-Rate", "*")
		w.WriteHeader(http.StatusOK)
	default:
		answer(w, errMethod)
	}
}

func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	buf := bodies.Get().(*[]byte)
	to, events, err := h.read(w, r, buf)
	if err == nil {
		// A sender that goes away now does not take back what it sent.
		err = h.gate.Admit(context.WithoutCancel(r.Context()), to, FromOutside(), events...)
		h.log(r, to, err)
	}
	release(buf)
	if h.Observer != nil {
		h.observe(to, events, Status(err), time.Since(start))
	}
	answer(w, err)
}

// read finds the stream and the events of a request. The events' data lies in
// buf.
func (h *handler) read(w http.ResponseWriter, r *http.Request, buf *[]byte) (routing.StreamName, []cloudevent.Event, error) {
	to, err := h.gate.address(r)
	if err != nil {
		return to, nil, err
	}
	if err := readBody(w, r, h.MaxBodyBytes, buf); err != nil {
		return to, nil, err
	}
	events, err := cloudevent.FromHTTP(r.Header, *buf)
	return to, events, err
}

// log tells the operator what the sender is not told. A sender that went away
// is nobody's trouble.
func (h *handler) log(r *http.Request, to routing.StreamName, err error) {
	if Status(err) == http.StatusInternalServerError && r.Context().Err() == nil {
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
