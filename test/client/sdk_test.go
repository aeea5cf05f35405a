package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"leat.dev/leat/test/harness"
)

// each is how many events are sent in each mode.
const each = 500

// sent is an event with a bit of everything but characters that must be escaped
// in a header (spaces, %, non-ASCII): the SDK, unlike the spec's HTTP binding,
// does not escape them.
func sent(mode string, n int) cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID(fmt.Sprintf("%s-%d", mode, n))
	e.SetType("dev.example.order.placed")
	e.SetSource("/shop")
	e.SetSubject(fmt.Sprintf("order/%d", n))
	e.SetDataSchema("https://example.dev/order")
	e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, n, time.UTC))
	e.SetExtension("partitionkey", fmt.Sprint(n%10))
	e.SetExtension("mode", mode)
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]any{"order": n, "items": []string{"bread", "milk \"1l\""}}); err != nil {
		panic("BUG: maps are JSON: " + err.Error())
	}
	return e
}

// receiver is a subscriber made with the SDK.
type receiver struct {
	url string

	mu sync.Mutex
	// got are the events by id, structured how many came in structured mode.
	got        map[string][]cloudevents.Event
	structured int
}

// receive runs one until the end of the test. Reply may be nil.
func receive(t *testing.T, reply func(cloudevents.Event) *cloudevents.Event) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{url: "http://" + l.Addr().String(), got: map[string][]cloudevents.Event{}}
	c, err := cloudevents.NewClientHTTP(cehttp.WithListener(l), cehttp.WithMiddleware(r.countStructured))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- c.StartReceiver(ctx, func(e cloudevents.Event) (*cloudevents.Event, cloudevents.Result) {
			r.mu.Lock()
			r.got[e.ID()] = append(r.got[e.ID()], e)
			r.mu.Unlock()
			if reply == nil {
				return nil, cloudevents.ResultACK
			}
			return reply(e), cloudevents.ResultACK
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the SDK's receiver ended with %v", err)
		}
	})
	return r
}

func (r *receiver) countStructured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Content-Type") == cloudevents.ApplicationCloudEventsJSON {
			r.mu.Lock()
			r.structured++
			r.mu.Unlock()
		}
		next.ServeHTTP(w, req)
	})
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// The SDK's client sends 1,000 events, half of them in each mode, one batch
// besides; SDK receivers get all of them in either mode, one replies, and
// another gets the replies.
func TestSDK(t *testing.T) {
	binary := receive(t, nil)
	structured := receive(t, nil)
	replying := receive(t, func(e cloudevents.Event) *cloudevents.Event {
		answer := cloudevents.NewEvent()
		answer.SetID("reply-to-" + e.ID())
		answer.SetType("dev.example.order.priced")
		answer.SetSource("/pricing")
		if err := answer.SetData(cloudevents.TextPlain, "price of "+e.ID()); err != nil {
			t.Error(err)
		}
		return &answer
	})
	replies := receive(t, nil)
	placed, priced := "filters: [{exact: {type: dev.example.order.placed}}]", "filters: [{exact: {type: dev.example.order.priced}}]"
	l := harness.Start(t, harness.Broker("orders"),
		harness.Trigger("binary", "orders", binary.url, placed),
		harness.Trigger("structured", "orders", structured.url, placed, "delivery: {format: json}"),
		harness.Trigger("replying", "orders", replying.url, placed),
		harness.Trigger("replies", "orders", replies.url, priced))

	var all []cloudevents.Event
	all = append(all, send(t, l.BrokerURL("orders"), "binary")...)
	all = append(all, send(t, l.BrokerURL("orders"), "structured")...)
	all = append(all, sendBatch(t, l.BrokerURL("orders"))...)
	for _, r := range []*receiver{binary, structured, replying, replies} {
		harness.Eventually(t, "all events have come", func() bool { return r.count() >= len(all) })
	}

	for name, r := range map[string]*receiver{"binary": binary, "structured": structured, "replying": replying} {
		for _, e := range all {
			wantOnce(t, name, r, e)
		}
	}
	for _, e := range all {
		got := replies.got["reply-to-"+e.ID()]
		if len(got) != 1 || string(got[0].Data()) != "price of "+e.ID() || got[0].Source() != "/pricing" {
			t.Errorf("the reply to %s is %v", e.ID(), got)
		}
	}
	if binary.structured != 0 || structured.structured != len(all) {
		t.Errorf("%d and %d of %d events came in structured mode, want none and all", binary.structured, structured.structured, len(all))
	}
}

// send sends with the SDK's client, which must see each acknowledged.
func send(t *testing.T, url, mode string) (events []cloudevents.Event) {
	t.Helper()
	c, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(url))
	if err != nil {
		t.Fatal(err)
	}
	ctx := cloudevents.WithEncodingBinary(t.Context())
	if mode == "structured" {
		ctx = cloudevents.WithEncodingStructured(t.Context())
	}
	var senders sync.WaitGroup
	for first := range 4 {
		for n := first; n < each; n += 4 {
			events = append(events, sent(mode, n))
		}
		mine := events[len(events)-each/4:]
		senders.Go(func() {
			for _, e := range mine {
				if result := c.Send(ctx, e); !cloudevents.IsACK(result) {
					t.Errorf("event %s: %v", e.ID(), result)
				}
			}
		})
	}
	senders.Wait()
	return events
}

func sendBatch(t *testing.T, url string) (events []cloudevents.Event) {
	t.Helper()
	for n := range 20 {
		events = append(events, sent("batch", n))
	}
	req, err := cehttp.NewHTTPRequestFromEvents(t.Context(), url, events)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("the batch was answered %s, %v", resp.Status, err)
	}
	return events
}

// wantOnce fails the test unless the event came once and as it was sent, but
// for what a broker adds.
func wantOnce(t *testing.T, name string, r *receiver, e cloudevents.Event) {
	t.Helper()
	got := r.got[e.ID()]
	if len(got) != 1 {
		t.Errorf("%s: %s came %d times, want once", name, e.ID(), len(got))
		return
	}
	g := got[0].Clone()
	if g.Extensions()["knativearrivaltime"] == nil {
		t.Errorf("%s: %s came without knativearrivaltime", name, e.ID())
	}
	g.SetExtension("knativearrivaltime", nil)
	if g.String() != e.String() {
		t.Errorf("%s: the event\n%swas sent, and came as\n%s", name, e, g)
	}
}
