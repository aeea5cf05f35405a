package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"

	"leat.dev/leat/test/harness"
)

// Nothing has been delivered when the process is killed, right behind the last
// 202: what was accepted can only come from the disk.
func TestAcceptedEventsSurviveSIGKILL(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		release := make(chan struct{})
		sub := harness.NewSubscriber(t, func(harness.Request) harness.Answer {
			return harness.Answer{Until: release}
		})
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
		var want []string
		var group sync.WaitGroup
		for i := range 20 {
			e := harness.Event(fmt.Sprintf("event-%02d", i))
			want = append(want, e.ID())
			group.Go(func() { harness.Send(t, h.url(l, "hub"), e) })
		}
		group.Wait()
		l.Kill()
		close(release)
		before := len(sub.Requests())
		l.Restart()
		l.WaitSettled()
		if settled := sub.Requests()[before:]; len(settled) < len(want) {
			t.Errorf("%d events were delivered after the kill, want all %d", len(settled), len(want))
		}
		got := map[string]bool{}
		for _, id := range sub.IDs() {
			got[id] = true
		}
		for _, id := range want {
			if !got[id] {
				t.Errorf("event %s was accepted and never delivered", id)
			}
		}
	})
}

// The subscriber answers 503 until the process has been killed: the attempts
// after that are those of a process that never received the event.
func TestDeliveryIsRetriedByALaterProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		var up sync.Map
		sub := harness.NewSubscriber(t, func(harness.Request) harness.Answer {
			if _, ok := up.Load("yes"); ok {
				return harness.Answer{Status: http.StatusOK}
			}
			return harness.Answer{Status: http.StatusServiceUnavailable}
		})
		l := harness.Start(t, h.stream("hub"),
			h.route("all", "hub", sub.URL, "delivery: {retry: 50, backoffPolicy: linear, backoffDelay: PT0.1S}"))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		sub.Wait(t, 1)
		l.Kill()
		up.Store("yes", true)
		failed := len(sub.Requests())
		l.Restart()
		l.WaitSettled()
		if got := len(sub.Requests()) - failed; got != 1 {
			t.Errorf("the restarted process made %d attempts, want 1", got)
		}
	})
}

func TestDuplicatesAreAccepted(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"), harness.Event("1"), harness.Event("2"))
		sub.WaitEvent(t, "1")
		sub.WaitEvent(t, "2")
	})
}

func TestSameIDOfAnotherSourceIsNoDuplicate(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
		harness.Send(t, h.url(l, "hub"),
			harness.Event("1", harness.Source("/a")), harness.Event("1", harness.Source("/b")))
		l.WaitSettled()
		var sources []string
		for _, r := range sub.Requests() {
			sources = append(sources, r.Event.Source())
		}
		wantIDs(t, "the subscriber (by source)", sources, "/a", "/b")
	})
}

// validEvents are events at the edges of what CloudEvents 1.0 allows.
func validEvents() []event.Event {
	everything := harness.Event("every attribute", harness.Type("com.example.what?happened"),
		harness.Source("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"), harness.Ext("comexampleextension1", "value"),
		harness.Ext("comexampleothervalue", int32(-2147483648)), harness.Ext("comexampletrue", true),
		harness.Ext("x", "one letter"), harness.Ext("0123456789", "digits"))
	everything.SetSubject("a subject with spaces, ünïcödé, \"quotes\" and 100%")
	everything.SetDataSchema("https://example.com/schema#v1")
	everything.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC))
	noData := cloudevents.NewEvent()
	noData.SetID("no data")
	noData.SetSource("/s")
	noData.SetType("t")
	return []event.Event{
		everything,
		noData,
		harness.Event("relative source", harness.Source("../up?and#down")),
		harness.Event("long id " + strings.Repeat("x", 1000)),
		harness.Event("empty object", harness.Data("application/json", []byte("{}"))),
		harness.Event("JSON null", harness.Data("application/json", []byte("null"))),
		harness.Event("JSON string", harness.Data("application/json", []byte(`"text"`))),
		harness.Event("text", harness.Data("text/plain; charset=utf-8", []byte("line one\nline two\n"))),
		harness.Event("XML", harness.Data("application/xml", []byte("<a b='c'/>"))),
		harness.Event("bytes", harness.Data("application/octet-stream", []byte{0, 1, 0xff, 0xfe, '\r', '\n', 0})),
		harness.Event("a megabyte", harness.Data("application/octet-stream", []byte(strings.Repeat("0123456789abcdef", 1<<16)))),
		harness.Event("traced", harness.Ext("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
		harness.Event("keyed", harness.Ext("partitionkey", "k")),
	}
}

func TestAcceptsAllValidEvents(t *testing.T) {
	for _, mode := range []struct {
		name  string
		write harness.Mode
	}{{"binary", harness.Binary}, {"structured", harness.Structured}} {
		t.Run(mode.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, h hub) {
				sub := harness.NewSubscriber(t, nil)
				l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
				for _, e := range validEvents() {
					harness.SendAs(t, h.url(l, "hub"), mode.write, e)
					wantSame(t, sub.WaitEvent(t, e.ID()).Event, e)
				}
			})
		})
	}
}

// wantSame fails the test unless an event came out as it went in, but for what
// a broker may add.
func wantSame(t *testing.T, got *event.Event, want event.Event) {
	t.Helper()
	type attributes struct {
		ID, Source, Type, Subject, Schema, ContentType, Version string
		Time                                                    string
	}
	of := func(e event.Event) attributes {
		return attributes{
			e.ID(), e.Source(), e.Type(), e.Subject(), e.DataSchema(), e.DataContentType(), e.SpecVersion(),
			e.Time().String(),
		}
	}
	if of(*got) != of(want) {
		t.Errorf("event %s arrived with\n%+v, want\n%+v", want.ID(), of(*got), of(want))
	}
	for name, value := range want.Extensions() {
		if have := got.Extensions()[name]; fmt.Sprint(have) != fmt.Sprint(value) {
			t.Errorf("event %s arrived with %s=%v, want %v", want.ID(), name, have, value)
		}
	}
	if string(got.Data()) != string(want.Data()) {
		t.Errorf("event %s arrived with %d bytes of data, want the %d bytes that were sent", want.ID(), len(got.Data()), len(want.Data()))
	}
}

// A route that gets its data in structured mode gets the same data.
func TestDataIsNotModified(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		inBinary, inJSON := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("binary", "hub", inBinary.URL),
			h.route("json", "hub", inJSON.URL, "delivery: {format: json}"))
		for _, e := range []event.Event{
			harness.Event("spaced JSON", harness.Data("application/json", []byte(`{ "b" : 1.0, "a":[ 1e2 , 12345678901234567890 ] , "b":2}`))),
			harness.Event("escapes", harness.Data("application/json", []byte(`"\u00e9\/<>&\u2028"`))),
			harness.Event("bytes", harness.Data("application/octet-stream", []byte{0, 0xff, 0x80, '\n'})),
			harness.Event("text", harness.Data("text/plain", []byte("a\r\nb\t€"))),
		} {
			harness.Send(t, h.url(l, "hub"), e)
			wantSame(t, inBinary.WaitEvent(t, e.ID()).Event, e)
			got := inJSON.WaitEvent(t, e.ID())
			if !got.Structured {
				t.Errorf("event %s came in binary mode, want structured", e.ID())
			}
			if !sameData(got.Event, e) {
				t.Errorf("event %s has the data %q in structured mode, want %q", e.ID(), got.Event.Data(), e.Data())
			}
		}
	})
}

// sameData compares bytes, and JSON as JSON: in a structured event it may be
// spaced in another way.
func sameData(got *event.Event, want event.Event) bool {
	if string(got.Data()) == string(want.Data()) {
		return true
	}
	return strings.Contains(want.DataContentType(), "json") && compact(got.Data()) == compact(want.Data())
}

func compact(data []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return string(data)
	}
	return b.String()
}
