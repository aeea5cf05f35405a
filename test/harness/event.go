package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// Event returns an event with this id, a type, a source and JSON data.
func Event(id string, change ...func(*event.Event)) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetType("test.happened")
	e.SetSource("/test")
	if err := e.SetData(event.ApplicationJSON, map[string]string{"id": id}); err != nil {
		panic("BUG: a map of strings is JSON: " + err.Error())
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

// Type changes an event's type.
func Type(value string) func(*event.Event) { return func(e *event.Event) { e.SetType(value) } }

// Source changes an event's source.
func Source(value string) func(*event.Event) { return func(e *event.Event) { e.SetSource(value) } }

// Ext sets an extension of an event.
func Ext(name string, value any) func(*event.Event) {
	return func(e *event.Event) { e.SetExtension(name, value) }
}

// Data changes an event's data.
func Data(contentType string, data []byte) func(*event.Event) {
	return func(e *event.Event) {
		if err := e.SetData(contentType, data); err != nil {
			panic("BUG: bytes are data: " + err.Error())
		}
	}
}

// Mode writes an event as the headers and the body of a message.
type Mode func(event.Event) (http.Header, []byte)

// Binary mode: attributes in headers.
func Binary(e event.Event) (http.Header, []byte) {
	header, body := write(binding.WithForceBinary(context.Background()), e)
	mapAttributes(header, encodeHeader)
	return header, body
}

// Structured mode: one JSON object.
func Structured(e event.Event) (http.Header, []byte) {
	return write(binding.WithForceStructured(context.Background()), e)
}

func write(ctx context.Context, e event.Event) (http.Header, []byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://unused", nil)
	if err == nil {
		err = cehttp.WriteRequest(ctx, binding.ToMessage(&e), req)
	}
	if err != nil {
		panic("BUG: the SDK cannot write the event: " + err.Error())
	}
	body := []byte{}
	if req.Body != nil {
		if body, err = io.ReadAll(req.Body); err != nil {
			panic("BUG: reading from memory: " + err.Error())
		}
	}
	return req.Header, body
}

// Batch writes events as one batch.
func Batch(events ...event.Event) (http.Header, []byte) {
	body, err := json.Marshal(events)
	if err != nil {
		panic("BUG: the SDK cannot write the events: " + err.Error())
	}
	return http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, body
}

// Response is an answer of leat.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Send sends the events in binary mode, one by one, and fails the test unless
// each is accepted.
func Send(t testing.TB, url string, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		SendAs(t, url, Binary, e)
	}
}

// SendAs sends one event in a mode and fails the test unless it is accepted.
func SendAs(t testing.TB, url string, mode Mode, e event.Event) {
	t.Helper()
	header, body := mode(e)
	if r := Post(t, url, header, body); r.Status != http.StatusAccepted {
		t.Fatalf("event %s was answered %d: %s", e.ID(), r.Status, r.Body)
	}
}

// Post makes a POST request. Names of headers are sent as they stand in the
// map. Host is taken for the request's host.
func Post(t testing.TB, url string, header http.Header, body []byte) Response {
	t.Helper()
	return Do(t, http.MethodPost, url, header, body)
}

// Do makes any request and does not follow redirects.
func Do(t testing.TB, method, url string, header http.Header, body []byte) Response {
	t.Helper()
	r, err := TryDo(t.Context(), method, url, header, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TryDo is Do for when an answer is not certain.
func TryDo(ctx context.Context, method, url string, header http.Header, body []byte) (Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := client.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Response{resp.StatusCode, resp.Header, strings.TrimSpace(string(text))}, err
}

var client = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}
