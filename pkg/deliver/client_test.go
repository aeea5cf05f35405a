package deliver

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testEvent() *cloudevent.Event {
	var e cloudevent.Event
	e.Set("id", "1")
	e.Set("source", "/shop")
	e.Set("type", "shop.order")
	e.Set("datacontenttype", "application/json")
	e.Set("region", "eu")
	e.SetData([]byte(`{"n":1}`))
	e.AddHeader("x-request-id", "r-1")
	return &e
}

// subscriber answers with the handler and counts its connections.
type subscriber struct {
	*httptest.Server
	connections atomic.Int64
}

func newSubscriber(t testing.TB, start func(*httptest.Server), handler http.HandlerFunc) *subscriber {
	s := &subscriber{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	start(s.Server)
	t.Cleanup(s.Close)
	return s
}

func newClient(t testing.TB, opts Options) *Client {
	c := New(opts)
	t.Cleanup(c.Close)
	return c
}

func (s *subscriber) dest() *routing.Destination {
	return &routing.Destination{URL: s.URL + "/events?a=b"}
}

// answer is a handler that says this.
func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRequest(t *testing.T) {
	type request struct {
		http.Header
		method, uri, body string
		length            int64
	}
	var got request
	s := newSubscriber(t, (*httptest.Server).Start, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = request{r.Header, r.Method, r.RequestURI, string(body), r.ContentLength}
	})
	c := newClient(t, Options{})
	binary := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/shop", "Ce-Type": "shop.order", "Ce-Region": "eu",
		"Content-Type": "application/json", "X-Request-Id": "r-1", "User-Agent": "leat", "Content-Length": "7",
	}
	with := func(m map[string]string, kv ...string) map[string]string {
		m = maps.Clone(m)
		maps.Copy(m, pairs(kv))
		return m
	}

	for name, test := range map[string]struct {
		event  func(*cloudevent.Event)
		opts   SendOptions
		header map[string]string
		body   string
	}{
		"binary": {nil, SendOptions{}, binary, `{"n":1}`},
		"reply and namespace": {nil, SendOptions{PreferReply: true, Namespace: "ns"},
			with(binary, "Prefer", "reply", "Kn-Namespace", "ns"), `{"n":1}`},
		"no data": {func(e *cloudevent.Event) { e.SetData(nil); e.Delete("datacontenttype") }, SendOptions{Format: routing.FormatBinary},
			map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/shop", "Ce-Type": "shop.order", "Ce-Region": "eu",
				"X-Request-Id": "r-1", "User-Agent": "leat", "Content-Length": "0"}, ""},
		"structured": {nil, SendOptions{Format: routing.FormatJSON},
			map[string]string{"Content-Type": "application/cloudevents+json", "X-Request-Id": "r-1", "User-Agent": "leat", "Content-Length": "136"},
			`{"specversion":"1.0","id":"1","source":"/shop","type":"shop.order","datacontenttype":"application/json","region":"eu","data":{"n":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := testEvent()
			if test.event != nil {
				test.event(e)
			}
			if o := c.Send(t.Context(), s.dest(), e, test.opts); o.Status != 200 || o.Err != nil {
				t.Fatalf("%+v", o)
			}
			if got.method != "POST" || got.uri != "/events?a=b" || got.body != test.body {
				t.Errorf("%s %s %s", got.method, got.uri, got.body)
			}
			if got.Get("Content-Length") == "" {
				got.Set("Content-Length", fmt.Sprint(got.length))
			}
			test.header["Content-Length"] = fmt.Sprint(len(test.body))
			for _, k := range slices.Sorted(maps.Keys(got.Header)) {
				if want, ok := test.header[k]; !ok || got.Get(k) != want {
					t.Errorf("%s: %q, want %q", k, got.Header[k], want)
				}
			}
			for k := range test.header {
				if len(got.Header[k]) != 1 {
					t.Errorf("%s: %q", k, got.Header[k])
				}
			}
		})
	}
}

func pairs(kv []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

func TestBasicAuthorizationOfTheURL(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	dest := &routing.Destination{URL: strings.Replace(s.URL, "//", "//me:secret@", 1)}
	if o := newClient(t, Options{}).Send(t.Context(), dest, testEvent(), SendOptions{}); o.Status != 200 {
		t.Errorf("%+v", o)
	}
}

func TestTLS(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			var proto atomic.Value
			s := newSubscriber(t, func(s *httptest.Server) { s.EnableHTTP2 = http2; s.StartTLS() },
				func(_ http.ResponseWriter, r *http.Request) { proto.Store(r.Proto) })
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
			c := newClient(t, Options{})

			trusted := &routing.Destination{URL: s.URL, CACerts: string(ca)}
			if o := c.Send(t.Context(), trusted, testEvent(), SendOptions{}); o.Status != 200 || proto.Load() != name {
				t.Errorf("%+v, %v", o, proto.Load())
			}
			unknown := &routing.Destination{URL: s.URL}
			if o := c.Send(t.Context(), unknown, testEvent(), SendOptions{}); o.Err == nil || !strings.Contains(o.Err.Error(), "certificate") {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestProxy(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).Start, answer(200, ""))
	proxied := newClient(t, Options{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(s.URL) }})
	dest := &routing.Destination{URL: "http://subscriber.example/"}
	if o := proxied.Send(t.Context(), dest, testEvent(), SendOptions{}); o.Status != 200 {
		t.Errorf("through a proxy: %+v", o)
	}
	tr, err := newTransport("", nil)
	if err != nil || tr.Proxy != nil {
		t.Errorf("the default takes the proxy of the environment (%v)", err)
	}
}

// What is remembered of destinations stays bounded when they come and go.
func TestTargetsAreBounded(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).StartTLS, answer(200, ""))
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	c := newClient(t, Options{})
	for i := range maxTransports + 10 {
		dest := &routing.Destination{URL: s.URL, CACerts: fmt.Sprint(ca, "# ", i, "\n")}
		if o := c.Send(t.Context(), dest, testEvent(), SendOptions{}); o.Status != 200 {
			t.Fatalf("%+v", o)
		}
	}
	for i := range maxTargets + 10 {
		if _, err := c.targets.get(&routing.Destination{URL: fmt.Sprint("http://a/", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n, m := len(c.targets.transports), len(c.targets.byKey); n > maxTransports || n != len(c.targets.age) || m > maxTargets {
		t.Errorf("%d transports, %d targets", n, m)
	}
}
