package ingress

import (
	"bufio"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// A request in the words of the tables: headers as "name: value" lines.
type request struct {
	method, url, host, headers, body string
}

const (
	binary   = "ce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: t"
	jsonOne  = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`
	isJSON   = "content-type: application/cloudevents+json; charset=utf-8"
	isBatch  = "content-type: application/cloudevents-batch+json"
	testBody = 1000 // the limit in the tests
)

func (x request) do(h http.Handler) *httptest.ResponseRecorder {
	if x.method == "" {
		x.method = http.MethodPost
	}
	r := httptest.NewRequest(x.method, x.url, strings.NewReader(x.body))
	if x.host != "" {
		r.Host = x.host
	}
	for line := range strings.Lines(x.headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// One row per answer of KNATIVE.md 2.5, and for the order of the checks rows
// with two mistakes.
func TestAnswers(t *testing.T) {
	large := strings.Repeat("x", testBody+1)
	for _, x := range []struct {
		name   string
		r      request
		status int
		text   string // a part of the body, "" if it must be empty
		stored int
	}{
		{"binary", request{url: "/ns/default", headers: binary, body: "x"}, 202, "", 1},
		{"binary without data", request{url: "/ns/default", headers: binary}, 202, "", 1},
		{"structured", request{url: "/ns/default", headers: isJSON, body: jsonOne}, 202, "", 1},
		{"batch", request{url: "/ns/default", headers: isBatch, body: "[" + jsonOne + "," + jsonOne + "]"}, 202, "", 2},
		{"empty batch", request{url: "/ns/default", headers: isBatch, body: "[]"}, 202, "", 0},
		{"slash at the end", request{url: "/ns/default/", headers: binary}, 202, "", 1},
		{"query", request{url: "/ns/default?a=b/c", headers: binary}, 202, "", 1},
		{"as large as may be", request{url: "/ns/default", headers: binary, body: large[1:]}, 202, "", 1},
		{"channel by path", request{url: "/channels/ns/orders", headers: binary}, 202, "", 1},
		{"channel by host", request{url: "/", host: channelHost, headers: binary}, 202, "", 1},
		{"channel by host and port", request{url: "/", host: channelHost + ":80", headers: binary}, 202, "", 1},
		{"channel by host, upper case and absolute", request{url: "/", host: "Orders-kn-channel.ns.svc.cluster.LOCAL.", headers: binary}, 202, "", 1},

		{"GET", request{method: "GET", url: "/ns/default", headers: binary}, 405, "POST", 0},
		{"PUT before anything else", request{method: "PUT", url: "/"}, 405, "POST", 0},
		{"HEAD", request{method: "HEAD", url: "/ns/default"}, 405, "POST", 0},
		{"root", request{url: "/", headers: binary}, 404, "no such broker", 0},
		{"root with another host", request{url: "/", host: "x-kn-channel.ns.svc.cluster.local", headers: binary}, 404, "no such broker", 0},
		{"root before the event", request{url: "/", body: "x"}, 404, "no such broker", 0},
		{"one segment", request{url: "/ns", headers: binary}, 400, "path", 0},
		{"three segments", request{url: "/ns/default/x", headers: binary}, 400, "path", 0},
		{"two slashes", request{url: "//ns/default", headers: binary}, 400, "path", 0},
		{"two slashes at the end", request{url: "/ns/default//", headers: binary}, 400, "path", 0},
		{"two slashes in between", request{url: "/ns//default", headers: binary}, 400, "path", 0},
		{"only slashes", request{url: "///", headers: binary}, 400, "path", 0},
		{"escaped slash", request{url: "/ns/a%2Fb", headers: binary}, 400, "path", 0},
		{"escaped slash that makes a channel", request{url: "/channels%2Fns/orders", headers: binary}, 400, "path", 0},
		{"escaped letter", request{url: "/ns/%64efault", headers: binary}, 400, "path", 0},
		{"dots", request{url: "/ns/..", headers: binary}, 404, "no such broker", 0},
		{"dots between", request{url: "/ns/../default", headers: binary}, 400, "path", 0},
		{"path on a channel's host", request{url: "/ns/default", host: channelHost, headers: binary}, 400, "path", 0},
		{"four segments under channels", request{url: "/channels/ns/orders/x", headers: binary}, 400, "path", 0},
		{"path before the size", request{url: "/ns", headers: binary, body: large}, 400, "path", 0},
		{"too large", request{url: "/ns/default", headers: binary, body: large}, 413, "too large", 0},
		{"size before the event", request{url: "/ns/default", body: large}, 413, "too large", 0},
		{"no event", request{url: "/ns/default", body: "x"}, 400, "not a CloudEvent", 0},
		{"half an event", request{url: "/ns/default", headers: "ce-specversion: 1.0\nce-id: 1", body: "x"}, 400, "missing", 0},
		{"event before the stream", request{url: "/ns/none", body: "x"}, 400, "not a CloudEvent", 0},
		{"event of a channel before the stream", request{url: "/channels/ns/none", body: "x"}, 400, "not a CloudEvent", 0},
		{"one of a batch", request{url: "/ns/default", headers: isBatch, body: "[" + jsonOne + ",{}]"}, 400, "event 2", 0},
		{"unknown format", request{url: "/ns/default", headers: "content-type: application/cloudevents+avro"}, 400, "format", 0},
		{"no broker", request{url: "/ns/none", headers: binary}, 404, "no such broker", 0},
		{"a channel is no broker", request{url: "/ns/orders", headers: binary}, 404, "no such broker", 0},
		{"no channel", request{url: "/channels/ns/default", headers: binary}, 404, "no such broker", 0},
		{"empty batch to no broker", request{url: "/ns/none", headers: isBatch, body: "[]"}, 404, "no such broker", 0},
		{"stream before the hops", request{url: "/ns/none", headers: binary + "\nce-knativebrokerttl: 1"}, 404, "no such broker", 0},
		{"hops", request{url: "/ns/default", headers: binary + "\nce-knativebrokerttl: 1"}, 400, "knativebrokerttl", 0},
		{"hops before the store", request{url: "/ns/full", headers: binary + "\nce-knativebrokerttl: 1"}, 400, "knativebrokerttl", 0},
		{"full", request{url: "/ns/full", headers: binary}, 507, "full", 0},
		{"closed", request{url: "/ns/closed", headers: binary}, 503, "closed", 0},
		{"broken", request{url: "/ns/broken", headers: binary}, 500, "could not be stored", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			world := newWorld()
			w := x.r.do(New(world.gate, Options{MaxBodyBytes: testBody}))
			text := w.Body.String()
			if w.Code != x.status || !strings.Contains(text, x.text) || x.text == "" && text != "" {
				t.Errorf("got %d %q, want %d %q", w.Code, text, x.status, x.text)
			}
			if strings.Contains(text, "secret") {
				t.Errorf("the answer tells what only the operator should see: %s", text)
			}
			if n := len(world.broker.payloads()) + len(world.channel.payloads()); n != x.stored {
				t.Errorf("%d events stored, want %d", n, x.stored)
			}
			wantHeader(t, w, "Allow", w.Code == 405, "POST, OPTIONS")
			wantHeader(t, w, "Retry-After", w.Code == 503 || w.Code == 507, "")
		})
	}
}

// wantHeader looks for a header; value "" is any number.
func wantHeader(t *testing.T, w *httptest.ResponseRecorder, name string, want bool, value string) {
	t.Helper()
	got := w.Header().Get(name)
	if (got != "") != want || want && value != "" && got != value {
		t.Errorf("status %d has %s: %q", w.Code, name, got)
	}
}

func TestOptions(t *testing.T) {
	for _, url := range []string{"/", "/ns/default", "/ns/none", "/x", "*"} {
		w := request{method: http.MethodOptions, url: url}.do(New(newWorld().gate, Options{}))
		if w.Code != http.StatusOK || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", url, w.Code, w.Body)
		}
		for name, want := range map[string]string{"Allow": "POST, OPTIONS", "WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"} {
			wantHeader(t, w, name, true, want)
		}
	}
}

func TestStoredEvent(t *testing.T) {
	world := newWorld()
	h := New(world.gate, Options{})
	w := request{url: "/channels/ns/orders", headers: binary + "\nce-subject: a%20b\ncontent-type: text/plain\nx-request-id: r\nauthorization: secret", body: "data"}.do(h)
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	// A second request gets the first one's buffer.
	request{url: "/ns/default", headers: binary, body: "XXXX"}.do(h)
	e := world.channel.events(t)[0]
	got := string(e.Data())
	for name, v := range e.Attributes() {
		if name != "knativearrivaltime" {
			got += fmt.Sprintf(" %s=%s", name, v.S)
		}
	}
	for name, v := range e.Header() {
		got += fmt.Sprintf(" %s:%s", name, v)
	}
	const want = "data specversion=1.0 id=1 source=/s type=t datacontenttype=text/plain knativebrokerttl=255 subject=a b X-Request-Id:r"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

type observed []string

func (o *observed) Received(stream routing.StreamName, eventType string, status int, took time.Duration) {
	if took <= 0 {
		*o = append(*o, "no time")
	}
	*o = append(*o, fmt.Sprintf("%s %q %d", stream, eventType, status))
}

func TestObserver(t *testing.T) {
	var o observed
	h := New(newWorld().gate, Options{Observer: &o, MaxBodyBytes: testBody})
	request{url: "/ns/default", headers: binary}.do(h)
	request{url: "/ns/default", headers: isBatch, body: "[" + jsonOne + "," + jsonOne + "]"}.do(h)
	request{url: "/ns/default", body: "x"}.do(h)
	request{url: "/ns/invented", headers: binary}.do(h)
	request{url: "/ns/full", headers: binary}.do(h)
	want := []string{
		`broker/ns/default "t" 202`,
		`broker/ns/default "t" 202`, `broker/ns/default "t" 202`,
		`broker/ns/default "" 400`,
		`// "t" 404`,
		`broker/ns/full "t" 507`,
	}
	if got := strings.Join(o, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestLog(t *testing.T) {
	var text strings.Builder
	h := New(newWorld().gate, Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
	request{url: "/ns/full", headers: binary}.do(h)
	request{url: "/ns/default", body: "x"}.do(h)
	if text.Len() > 0 {
		t.Errorf("expected answers are logged: %s", text.String())
	}
	request{url: "/ns/broken", headers: binary, body: "personal"}.do(h)
	if got := text.String(); !strings.Contains(got, "secret disk trouble") || !strings.Contains(got, "broker/ns/broken") || strings.Contains(got, "personal") {
		t.Errorf("got %q", got)
	}
}

func TestStatus(t *testing.T) {
	for want, err := range map[int]error{202: nil, 404: ErrNoStream, 400: fmt.Errorf("x: %w", ErrHops), 500: fmt.Errorf("x")} {
		if got := Status(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if got := Status(&cloudevent.InvalidError{Reason: "x"}); got != 400 {
		t.Errorf("invalid event: %d, want 400", got)
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"/ns/default", "/channels/ns/orders", "/", "*", "//a/b", "/ns/a%2Fb", "/%", "http://x/a/b", "/a/b?c#d", "/../..", "/\x00/\xff"} {
		f.Add(s, channelHost)
		f.Add(s, "[::1]:80")
		f.Add(s, "")
	}
	h := New(newWorld().gate, Options{})
	f.Fuzz(func(t *testing.T, target, host string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			return
		}
		r.Host = host
		name, err := h.(*handler).gate.address(r.URL.Path, r.Host, r.URL.RawPath != "")
		if err != nil {
			if status := Status(err); status != 400 && status != 404 {
				t.Fatalf("%v", err)
			}
			return
		}
		if name == channelName && hostName(host) == channelHost {
			return
		}
		if path := strings.TrimSuffix(r.URL.Path, "/"); name.Path() != path {
			t.Fatalf("%q is the stream %v of %q", target, name, name.Path())
		}
		if strings.Contains(name.Namespace+name.Name, "/") || name.Namespace == "" || name.Name == "" {
			t.Fatalf("%q is the stream %q", target, name)
		}
	})
}
