package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// patience is how long a test waits for what must come. What does not come
// fails the test then; a healthy run never waits that long.
const patience = 20 * time.Second

// Request is one request that a Subscriber got.
type Request struct {
	// N counts the subscriber's requests from 0.
	N      int
	At     time.Time
	Method string
	// Target is the path with the query.
	Target string
	Header http.Header
	Body   []byte
	// Event is the CloudEvent in the request as the SDK reads it, nil if there
	// is none.
	Event *event.Event
	// Structured says whether it came in structured mode.
	Structured bool
}

// ID is the event's id, empty without an event.
func (r Request) ID() string {
	if r.Event == nil {
		return ""
	}
	return r.Event.ID()
}

// Answer is a response. The zero value is 200 without a body.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Early sends an informational response of this status first.
	Early int
	// Until holds the answer back until the channel is closed.
	Until <-chan struct{}
	// Abort closes the connection instead of answering.
	Abort bool
}

// Script says what to answer to a request. It may be called concurrently.
type Script func(Request) Answer

// Always answers everything with one status.
func Always(status int) Script {
	return func(Request) Answer { return Answer{Status: status} }
}

// InTurn gives the answers one after the other, and then the last one for ever.
func InTurn(answers ...Answer) Script {
	return func(r Request) Answer { return answers[min(r.N, len(answers)-1)] }
}

// Reply answers with the event in binary mode.
func Reply(status int, e event.Event) Answer { return encoded(status, e, Binary) }

// StructuredReply answers with the event in structured mode.
func StructuredReply(status int, e event.Event) Answer { return encoded(status, e, Structured) }

func encoded(status int, e event.Event, mode Mode) Answer {
	header, body := mode(e)
	return Answer{Status: status, Header: header, Body: body}
}

// Subscriber is an HTTP server that answers by script and records what it gets.
type Subscriber struct {
	URL string

	script Script
	server *httptest.Server
	mu     sync.Mutex
	got    []Request
	// more is closed and replaced with every request.
	more chan struct{}
	stop chan struct{}
}

// NewSubscriber starts one that lives as long as the test. A nil script answers
// 200.
func NewSubscriber(t testing.TB, script Script) *Subscriber {
	t.Helper()
	if script == nil {
		script = Always(http.StatusOK)
	}
	s := &Subscriber{script: script, more: make(chan struct{}), stop: make(chan struct{})}
	s.server = httptest.NewServer(s)
	s.URL = s.server.URL
	t.Cleanup(func() {
		close(s.stop)
		s.server.Close()
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *Subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender has gone; nobody reads an answer
	}
	a := s.script(s.record(r, body))
	if a.Until != nil {
		select {
		case <-a.Until:
		case <-r.Context().Done():
			return
		case <-s.stop:
			return
		}
	}
	if a.Abort {
		panic(http.ErrAbortHandler)
	}
	if a.Early != 0 {
		w.WriteHeader(a.Early)
	}
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	w.Write(a.Body)
}

func (s *Subscriber) record(r *http.Request, body []byte) Request {
	got := Request{At: time.Now(), Method: r.Method, Target: r.URL.RequestURI(), Header: r.Header, Body: body}
	header := r.Header.Clone()
	mapAttributes(header, decodeHeader)
	message := cehttp.NewMessage(header, io.NopCloser(bytes.NewReader(body)))
	got.Structured = message.ReadEncoding() == binding.EncodingStructured
	if e, err := binding.ToEvent(context.Background(), message); err == nil {
		got.Event = e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	got.N = len(s.got)
	s.got = append(s.got, got)
	close(s.more)
	s.more = make(chan struct{})
	return got
}

// Requests returns what came so far.
func (s *Subscriber) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[:len(s.got):len(s.got)]
}

// IDs returns the ids of the events that came so far, in order.
func (s *Subscriber) IDs() []string {
	ids := []string{}
	for _, r := range s.Requests() {
		ids = append(ids, r.ID())
	}
	return ids
}

// Wait waits until n requests have come, and returns all that have.
func (s *Subscriber) Wait(t testing.TB, n int) []Request {
	t.Helper()
	return s.WaitFor(t, func(got []Request) bool { return len(got) >= n })
}

// WaitEvent waits for the event of that id and returns its first request.
func (s *Subscriber) WaitEvent(t testing.TB, id string) Request {
	t.Helper()
	var found Request
	s.WaitFor(t, func(got []Request) bool {
		for _, r := range got {
			if r.ID() == id {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

// WaitFor waits until enough says yes to the requests so far.
func (s *Subscriber) WaitFor(t testing.TB, enough func([]Request) bool) []Request {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		got, more := s.got[:len(s.got):len(s.got)], s.more
		s.mu.Unlock()
		if enough(got) {
			return got
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("the subscriber has %d requests after %v, with the events %q; more are due; the last one is\n%s", len(got), patience, s.IDs(), last(got))
		}
	}
}

// last is the last request as text.
func last(got []Request) string {
	if len(got) == 0 {
		return "none"
	}
	r := got[len(got)-1]
	return fmt.Sprintf("%s %s %v %.300q", r.Method, r.Target, r.Header, r.Body)
}
