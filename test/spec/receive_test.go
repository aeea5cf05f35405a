package spec

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"leat.dev/leat/test/harness"
)

func TestAcceptsBothContentModes(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
		harness.SendAs(t, h.url(l, "hub"), harness.Binary, harness.Event("binary"))
		harness.SendAs(t, h.url(l, "hub"), harness.Structured, harness.Event("structured"))
		header, body := harness.Batch(harness.Event("batched-1"), harness.Event("batched-2"))
		if r := harness.Post(t, h.url(l, "hub"), header, body); r.Status != http.StatusAccepted {
			t.Fatalf("a batch was answered %d: %s", r.Status, r.Body)
		}
		sub.Wait(t, 4)
		wantIDs(t, "the subscriber", sub.IDs(), "binary", "structured", "batched-1", "batched-2")
	})
}

// The CloudEvents project's own client on both sides.
func TestSDKClientSendsAndReceives(t *testing.T) {
	got := make(chan cloudevents.Event, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := cloudevents.NewClientHTTP(cloudevents.WithListener(ln))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- receiver.StartReceiver(t.Context(), func(e cloudevents.Event) { got <- e })
	}()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Errorf("the SDK's receiver: %v", err)
		}
	})

	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", "http://"+ln.Addr().String(), quickly))
	sender, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(l.BrokerURL("hub")))
	if err != nil {
		t.Fatal(err)
	}
	sent := harness.Event("from-the-sdk")
	if result := sender.Send(t.Context(), sent); !cloudevents.IsACK(result) {
		t.Fatalf("the SDK's client takes the answer for: %v", result)
	}
	if e := <-got; e.ID() != sent.ID() || string(e.Data()) != string(sent.Data()) {
		t.Errorf("the SDK's receiver got\n%s, want\n%s", e, sent)
	}
}

func TestReceivesByTheHTTPBinding(t *testing.T) {
	const structured = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	cases := []struct {
		name   string
		header http.Header
		body   string
		want   int
		// get is an attribute, and what the subscriber must see in it.
		get, value string
	}{
		{"percent-encoded attribute", ceHeader("Ce-Subject", "Euro %E2%82%AC %F0%9F%98%80"), "", 202, "subject", "Euro € 😀"},
		{"quoted attribute", ceHeader("Ce-Subject", "say %22hi%22 100%25"), "", 202, "subject", `say "hi" 100%`},
		{"attribute names in any case", ceHeader("CE-COMEXAMPLE", "x"), "", 202, "comexample", "x"},
		{"content type is datacontenttype", ceHeader("Content-Type", "text/plain; charset=utf-8"), "x", 202, "datacontenttype", "text/plain; charset=utf-8"},
		{"structured with a charset", contentType("application/cloudevents+json; charset=UTF-8"), structured + `}`, 202, "id", "1"},
		{"structured, extension of type integer", contentType("application/cloudevents+json"), structured + `,"comexample":42}`, 202, "comexample", "42"},
		{"structured, extension of type boolean", contentType("application/cloudevents+json"), structured + `,"comexample":true}`, 202, "comexample", "true"},
		{"no specversion", without(ceHeader("", ""), "Ce-Specversion"), "", 400, "", ""},
		{"no id", without(ceHeader("", ""), "Ce-Id"), "", 400, "", ""},
		{"no source", without(ceHeader("", ""), "Ce-Source"), "", 400, "", ""},
		{"no type", without(ceHeader("", ""), "Ce-Type"), "", 400, "", ""},
		{"time that is none", ceHeader("Ce-Time", "yesterday"), "", 400, "", ""},
		{"structured, cut off", contentType("application/cloudevents+json"), structured, 400, "", ""},
		{"structured, no id", contentType("application/cloudevents+json"), `{"specversion":"1.0","source":"/s","type":"t"}`, 400, "", ""},
		{"structured, data twice", contentType("application/cloudevents+json"), structured + `,"data":1,"data_base64":"AA=="}`, 400, "", ""},
		{"no event at all", contentType("text/plain"), "hello", 400, "", ""},
		{"a format that nobody knows", contentType("application/cloudevents+x"), "hello", 400, "", ""},
	}
	sub := harness.NewSubscriber(t, nil)
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", sub.URL))
	accepted := 0
	for _, c := range cases {
		r := harness.Post(t, l.BrokerURL("hub"), c.header, []byte(c.body))
		if r.Status != c.want {
			t.Errorf("%s: answered %d %q, want %d", c.name, r.Status, r.Body, c.want)
			continue
		}
		if c.want != http.StatusAccepted {
			if r.Body == "" || strings.Contains(r.Body, "\n") {
				t.Errorf("%s: refused with %q, want one sentence", c.name, r.Body)
			}
			continue
		}
		accepted++
		e := sub.Wait(t, accepted)[accepted-1].Event
		if got := attribute(e, c.get); got != c.value {
			t.Errorf("%s: the subscriber sees %s=%q, want %q", c.name, c.get, got, c.value)
		}
	}
}

// ceHeader is an event in binary mode with one more header, unless its name is
// empty.
func ceHeader(name, value string) http.Header {
	h := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}}
	if name != "" {
		h[name] = []string{value}
	}
	return h
}

func contentType(value string) http.Header { return http.Header{"Content-Type": {value}} }

func without(h http.Header, name string) http.Header {
	h.Del(name)
	return h
}

// attribute is the value of any attribute as CloudEvents' string form.
func attribute(e *cloudevents.Event, name string) string {
	switch name {
	case "id":
		return e.ID()
	case "subject":
		return e.Subject()
	case "datacontenttype":
		return e.DataContentType()
	}
	return fmt.Sprint(e.Extensions()[name])
}

// HTTP/1.1 as a client may speak it: a body in chunks, a client that asks before
// it sends the body, two requests on one connection.
func TestReceivesHTTP11(t *testing.T) {
	sub := harness.NewSubscriber(t, nil)
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", sub.URL))
	conn, err := net.Dial("tcp", l.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	head := func(id string) string {
		return "POST /test/hub HTTP/1.1\r\nHost: leat\r\nCe-Specversion: 1.0\r\nCe-Source: /s\r\nCe-Type: t\r\nCe-Id: " + id + "\r\n"
	}
	say := func(text string, want int) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want {
			t.Fatalf("answered %s, want %d, to %q", resp.Status, want, text)
		}
	}
	say(head("chunked")+"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 202)
	say(head("asked")+"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 100)
	say("hello", 202)
	for _, r := range sub.Wait(t, 2) {
		if string(r.Body) != "hello" {
			t.Errorf("event %s has the data %q, want hello", r.ID(), r.Body)
		}
	}
	wantIDs(t, "the subscriber", sub.IDs(), "chunked", "asked")
}

func TestIgnoresUnknownNegotiation(t *testing.T) {
	sub := harness.NewSubscriber(t, nil)
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", sub.URL))
	header, body := harness.Binary(harness.Event("1"))
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", "eventing/9")
	header.Set("Prefer", "teleport")
	if r := harness.Post(t, l.BrokerURL("hub"), header, body); r.Status != http.StatusAccepted {
		t.Errorf("answered %d %s, want 202", r.Status, r.Body)
	}
	sub.WaitEvent(t, "1")
}

func TestOptionsNamesPOST(t *testing.T) {
	l := harness.Start(t, broker.stream("hub"), channel.stream("hub"))
	for _, url := range []string{l.BrokerURL("hub"), l.ChannelURL("hub")} {
		r := harness.Do(t, http.MethodOptions, url, nil, nil)
		if r.Status != http.StatusOK || !strings.Contains(r.Header.Get("Allow"), "POST") {
			t.Errorf("OPTIONS %s was answered %d with Allow: %q, want 200 and POST", url, r.Status, r.Header.Get("Allow"))
		}
	}
}

func TestResponseCodesTellAcceptance(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		l := harness.StartWith(t, []string{"--max-event-size", "64Ki"}, h.stream("hub"), h.route("all", "hub", sub.URL))
		header, body := harness.Binary(harness.Event("refused"))
		large := make([]byte, 65<<10)
		for _, c := range []struct {
			name, method, url string
			header            http.Header
			body              []byte
			want              int
		}{
			{"no event", "POST", h.url(l, "hub"), nil, nil, 400},
			{"not a POST", "PUT", h.url(l, "hub"), header, body, 405},
			{"GET", "GET", h.url(l, "hub"), nil, nil, 405},
			{"no such stream", "POST", h.url(l, "nobody"), header, body, 404},
			{"the root", "POST", l.URL + "/", header, body, 404},
			{"no such path", "POST", h.url(l, "hub") + "/more/and/more", header, body, 400},
			{"too large", "POST", h.url(l, "hub"), header, large, 413},
		} {
			if r := harness.Do(t, c.method, c.url, c.header, c.body); r.Status != c.want {
				t.Errorf("%s: answered %d %q, want %d", c.name, r.Status, r.Body, c.want)
			}
		}
		harness.Send(t, h.url(l, "hub"), harness.Event("accepted"))
		l.WaitSettled()
		wantIDs(t, "the subscriber", sub.IDs(), "accepted")
	})
}

// A batch is accepted as a whole or refused as a whole.
func TestBatchIsAllOrNothing(t *testing.T) {
	sub := harness.NewSubscriber(t, nil)
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", sub.URL))
	header, body := harness.Batch(harness.Event("good"), harness.Event("bad"))
	body = []byte(strings.Replace(string(body), `"id":"bad"`, `"id":""`, 1))
	if r := harness.Post(t, l.BrokerURL("hub"), header, body); r.Status != http.StatusBadRequest {
		t.Errorf("answered %d %s, want 400", r.Status, r.Body)
	}
	harness.Send(t, l.BrokerURL("hub"), harness.Event("accepted"))
	l.WaitSettled()
	wantIDs(t, "the subscriber", sub.IDs(), "accepted")
}

func TestSendsNoReservedCodes(t *testing.T) {
	l := harness.Start(t, broker.stream("hub"), channel.stream("hub"))
	header, body := harness.Binary(harness.Event("1"))
	for _, path := range []string{
		"/test/hub", "/test/hub/", "//test/hub", "/test//hub", "/test/./hub", "/test/hub/../hub", "/test/hub?a=b",
		"/channels/test/hub", "/channels/test/hub/", "/channels", "/test", "/healthz", "/%2e%2e/hub", "/test/hub%2f",
	} {
		for _, method := range []string{"POST", "GET", "HEAD", "PUT", "DELETE", "PATCH"} {
			r := harness.Do(t, method, l.URL+path, header, body)
			if r.Status < 200 || (r.Status > 202 && r.Status < 400) || (method == "POST" && r.Status < 400 && r.Status != 202) {
				t.Errorf("%s %s was answered %d, which is reserved", method, path, r.Status)
			}
		}
	}
}
