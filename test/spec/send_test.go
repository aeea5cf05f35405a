package spec

import (
	"net/http"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

func TestDeliversByPOST(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		// As a sink that knows nothing but POST.
		sub := harness.NewSubscriber(t, func(r harness.Request) harness.Answer {
			if r.Method != http.MethodPost {
				return harness.Answer{Status: http.StatusMethodNotAllowed}
			}
			return harness.Answer{}
		})
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL+"/in?key=1"))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		l.WaitSettled()
		got := sub.Requests()
		if len(got) != 1 || got[0].Method != http.MethodPost || got[0].Target != "/in?key=1" {
			t.Errorf("the subscriber got %+v, want one POST /in?key=1", got)
		}
	})
}

func TestDeliversByTheHTTPBinding(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
		e := harness.Event("1", harness.Ext("comexample", `Euro € 😀 "quoted" 100%`), harness.Data("text/plain", []byte("hello")))
		harness.Send(t, h.url(l, "hub"), e)
		got := sub.Wait(t, 1)[0]
		for name, want := range map[string]string{
			"Ce-Specversion": "1.0",
			"Ce-Id":          "1",
			"Ce-Source":      "/test",
			"Ce-Type":        "test.happened",
			"Ce-Comexample":  `Euro%20%E2%82%AC%20%F0%9F%98%80%20%22quoted%22%20100%25`,
			"Content-Type":   "text/plain",
		} {
			if value := got.Header.Get(name); !strings.EqualFold(value, want) {
				t.Errorf("%s: %q, want %q", name, value, want)
			}
		}
		if string(got.Body) != "hello" {
			t.Errorf("the body is %q, want hello", got.Body)
		}
	})
}

func TestSendsBothContentModes(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		inBinary, inJSON := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"),
			h.route("binary", "hub", inBinary.URL, "delivery: {format: binary}"),
			h.route("json", "hub", inJSON.URL, "delivery: {format: json}"))
		e := harness.Event("1")
		harness.Send(t, h.url(l, "hub"), e)
		got := inBinary.WaitEvent(t, "1")
		if got.Structured {
			t.Error("format binary is sent in structured mode")
		}
		wantSame(t, got.Event, e)
		got = inJSON.WaitEvent(t, "1")
		if !got.Structured || !strings.HasPrefix(got.Header.Get("Content-Type"), "application/cloudevents+json") {
			t.Errorf("format json is sent as %s", got.Header.Get("Content-Type"))
		}
		wantSame(t, got.Event, e)
	})
}

// The subscriber refuses to be probed, with an error that is not retried.
func TestDeliversToWhoRefusesOPTIONS(t *testing.T) {
	sub := harness.NewSubscriber(t, func(r harness.Request) harness.Answer {
		if r.Method == http.MethodOptions {
			return harness.Answer{Status: http.StatusForbidden}
		}
		return harness.Answer{}
	})
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", sub.URL))
	harness.Send(t, l.BrokerURL("hub"), harness.Event("1"))
	sub.WaitEvent(t, "1")
}
