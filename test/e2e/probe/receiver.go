package main

import (
	"fmt"
	"log"
	"net/http"
	"sync"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"leat.dev/leat/test/e2e/account"
)

// receiver has noted every event that came, by route.
type receiver struct {
	show   bool
	mu     sync.Mutex
	routes map[string]map[string]account.Event
}

func newReceiver(show bool) *receiver {
	return &receiver{show: show, routes: make(map[string]map[string]account.Event)}
}

// take notes the event and then answers.
func (r *receiver) take(answer func(http.ResponseWriter, *http.Request, *event.Event)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		e, err := cehttp.NewEventFromHTTPRequest(req)
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			log.Printf("not an event: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.note(req.PathValue("route"), e)
		answer(w, req, e)
	}
}

func (r *receiver) note(route string, e *event.Event) {
	if r.show {
		fmt.Print(e.String())
	}
	extensions := make(map[string]string, len(e.Extensions()))
	for name, value := range e.Extensions() {
		extensions[name] = fmt.Sprint(value)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.routes[route]
	if events == nil {
		events = make(map[string]account.Event)
		r.routes[route] = events
	}
	events[e.ID()] = account.Event{Times: events[e.ID()].Times + 1, Type: e.Type(), Extensions: extensions}
}

func (r *receiver) account(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	writeJSON(w, account.Taken{Events: r.routes[req.PathValue("route")]})
}

func accept(w http.ResponseWriter, _ *http.Request, _ *event.Event) {
	w.WriteHeader(http.StatusAccepted)
}

func refuse(w http.ResponseWriter, _ *http.Request, _ *event.Event) {
	http.Error(w, "this subscriber wants nothing", http.StatusBadRequest)
}

func reply(w http.ResponseWriter, r *http.Request, e *event.Event) {
	answer := e.Clone()
	answer.SetType(e.Type() + "." + r.PathValue("route"))
	if err := cehttp.WriteResponseWriter(r.Context(), (*binding.EventMessage)(&answer), http.StatusOK, w); err != nil {
		log.Print(err)
	}
}
