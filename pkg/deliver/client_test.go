package deliver

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
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
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

func TestResponse(t *testing.T) {
	binary := []string{"Ce-Specversion", "1.0", "Ce-Id", "2", "Ce-Source", "/s", "Ce-Type", "t", "Content-Type", "text/plain"}
	structured := `{"specversion":"1.0","id":"2","source":"/s","type":"t"}`
	json := []string{"Content-Type", "application/cloudevents+json"}
	prefer, channel := SendOptions{PreferReply: true}, SendOptions{PreferReply: true, AllowNonEvent: true}
	large := strings.Repeat("x", 2000)

	for name, test := range map[string]struct {
		handler http.HandlerFunc
		opts    SendOptions
		status  int
		reply   string // its data
		error   string // of the reply
		body    string
		after   time.Duration
		verdict Verdict
	}{
		"200, empty":                       {handler: answer(200, ""), opts: prefer, status: 200},
		"200, binary":                      {handler: answer(200, "hi", binary...), opts: prefer, status: 200, reply: "hi"},
		"200, structured":                  {handler: answer(200, structured, json...), opts: prefer, status: 200, reply: "none"},
		"200, chunked":                     {handler: flushed(answer(200, "hi", binary...)), opts: prefer, status: 200, reply: "hi"},
		"200, binary without data":         {handler: answer(200, "", binary...), opts: prefer, status: 200, reply: "none"},
		"201, binary":                      {handler: answer(201, "hi", binary...), opts: prefer, status: 201, reply: "hi"},
		"202, binary":                      {handler: answer(202, "hi", binary...), opts: prefer, status: 202},
		"202, other body":                  {handler: answer(202, "ok"), opts: prefer, status: 202},
		"204":                              {handler: answer(204, ""), opts: prefer, status: 204},
		"200, event nobody asked for":      {handler: answer(200, "hi", binary...), status: 200},
		"200, other body":                  {handler: answer(200, "ok"), opts: prefer, status: 200, error: "the response must be empty or a CloudEvent", verdict: Retryable},
		"200, other body, channel":         {handler: answer(200, "ok"), opts: channel, status: 200},
		"200, binary, channel":             {handler: answer(200, "hi", binary...), opts: channel, status: 200, reply: "hi"},
		"200, malformed, channel":          {handler: answer(200, "{", json...), opts: channel, status: 200, error: "the response must be", verdict: Retryable},
		"200, malformed":                   {handler: answer(200, "{", json...), opts: prefer, status: 200, error: "the response must be", verdict: Retryable},
		"200, incomplete event":            {handler: answer(200, "", "Ce-Specversion", "1.0"), opts: prefer, status: 200, error: "required", verdict: Retryable},
		"200, as large as may be":          {handler: answer(200, strings.Repeat("x", 4096), binary...), opts: prefer, status: 200, reply: strings.Repeat("x", 4096)},
		"200, too large":                   {handler: answer(200, strings.Repeat("x", 4097), binary...), opts: prefer, status: 200, error: "longer than 4096 bytes", verdict: Retryable},
		"200, too large, chunked":          {handler: flushed(answer(200, strings.Repeat("x", 4097), binary...)), opts: prefer, status: 200, error: "longer than 4096 bytes", verdict: Retryable},
		"200, body breaks off":             {handler: answer(200, "hi", append(binary, "Content-Length", "10")...), opts: prefer, status: 200, error: "broke off", verdict: Retryable},
		"302 is not followed":              {handler: answer(302, "", "Location", "/other"), opts: prefer, status: 302, verdict: Rejected},
		"307 is not followed":              {handler: answer(307, "there", "Location", "/other"), opts: prefer, status: 307, body: "there", verdict: Rejected},
		"400":                              {handler: answer(400, "bad"), opts: prefer, status: 400, body: "bad", verdict: Rejected},
		"404":                              {handler: answer(404, ""), opts: prefer, status: 404, verdict: Retryable},
		"429, seconds":                     {handler: answer(429, "", "Retry-After", "7"), opts: prefer, status: 429, after: 7 * time.Second, verdict: Retryable},
		"503, date":                        {handler: answer(503, "", "Retry-After", "Sun, 01 Mar 2026 12:00:09 GMT"), status: 503, after: 9 * time.Second, verdict: Retryable},
		"500, Retry-After is not for it":   {handler: answer(500, "", "Retry-After", "7"), status: 500, verdict: Retryable},
		"500, big body":                    {handler: answer(500, large), opts: prefer, status: 500, body: large[:MaxBody], verdict: Retryable},
		"500, big chunked body":            {handler: flushed(answer(500, large)), opts: prefer, status: 500, body: large[:MaxBody], verdict: Retryable},
		"500, body breaks off":             {handler: answer(500, "half", "Content-Length", "10"), status: 500, body: "half", verdict: Retryable},
		"500, an event in it is no reply":  {handler: answer(500, "hi", binary...), opts: prefer, status: 500, body: "hi", verdict: Retryable},
		"101 leaves nothing to read":       {handler: switchProtocols, opts: prefer, status: 101, verdict: Rejected},
		"early hints before the answer":    {handler: hinted(answer(200, "hi", binary...)), opts: prefer, status: 200, reply: "hi"},
		"status outside of all known ones": {handler: answer(799, "?"), opts: prefer, status: 799, body: "?", verdict: Retryable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubscriber(t, (*httptest.Server).Start, test.handler)
			c := newClient(t, Options{
				MaxReplyBytes: 4096,
				Now:           func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
			})
			o := c.Send(t.Context(), s.dest(), testEvent(), test.opts)
			if o.Err != nil || o.Status != test.status || string(o.Body) != test.body || o.RetryAfter != test.after || o.Took <= 0 {
				t.Errorf("%+v", o)
			}
			if got := Classify(o); got != test.verdict {
				t.Errorf("verdict %v, want %v", got, test.verdict)
			}
			if (o.ReplyErr != nil) != (test.error != "") || o.ReplyErr != nil && !strings.Contains(o.ReplyErr.Error(), test.error) {
				t.Errorf("ReplyErr %v, want %q", o.ReplyErr, test.error)
			}
			switch {
			case (o.Reply != nil) != (test.reply != ""):
				t.Errorf("reply %v", o.Reply)
			case o.Reply != nil && test.reply != "none" && string(o.Reply.Data()) != test.reply:
				t.Errorf("reply has the data %.20q", o.Reply.Data())
			}
		})
	}
}

// flushed sends the body chunked, without its length.
func flushed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h(flusher{w}, r)
	}
}

type flusher struct{ http.ResponseWriter }

func (f flusher) Write(b []byte) (int, error) {
	f.ResponseWriter.(http.Flusher).Flush()
	return f.ResponseWriter.Write(b)
}

func hinted(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		h(w, r)
	}
}

func switchProtocols(w http.ResponseWriter, _ *http.Request) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	_ = buf.Flush()
	_, _ = io.Copy(io.Discard, conn)
}

func TestNoResponse(t *testing.T) {
	closed := newSubscriber(t, (*httptest.Server).Start, nil)
	closed.Close()
	reset := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	})
	garbage := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(conn, "what?\r\n\r\n")
		conn.Close()
	})
	hang := newSubscriber(t, (*httptest.Server).Start, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})

	for name, test := range map[string]struct {
		dest  routing.Destination
		error string
	}{
		"refused":            {*closed.dest(), "connection refused"},
		"reset":              {*reset.dest(), "reset"},
		"garbage":            {*garbage.dest(), "malformed HTTP response"},
		"hangs":              {*hang.dest(), "no answer within 200ms"},
		"no URL":             {routing.Destination{URL: "http://a:b:c@:d"}, "is no URL"},
		"relative URL":       {routing.Destination{URL: "/events"}, "must begin with http:// or https://"},
		"other scheme":       {routing.Destination{URL: "ftp://u:secret@a/"}, "ftp://u:xxxxx@a/"},
		"broken certificate": {routing.Destination{URL: "https://a", CACerts: "-"}, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Options{})
			o := c.Send(t.Context(), &test.dest, testEvent(), SendOptions{PreferReply: true, Timeout: 200 * time.Millisecond})
			if o.Status != 0 || o.Err == nil || !strings.Contains(o.Err.Error(), test.error) {
				t.Errorf("%+v, want the error %q", o, test.error)
			}
			if Classify(o) != Retryable {
				t.Error("not retryable")
			}
		})
	}
}

// The end of the caller's context ends the attempt, and is not a timeout.
func TestCancel(t *testing.T) {
	arrived := make(chan struct{})
	s := newSubscriber(t, (*httptest.Server).Start, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	o := newClient(t, Options{}).Send(ctx, s.dest(), testEvent(), SendOptions{})
	if !errors.Is(o.Err, context.Canceled) || strings.Contains(o.Err.Error(), "within") {
		t.Errorf("%+v", o)
	}
}

// drip sends a byte every few milliseconds for as long as it is listened to.
func drip(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(status, "", header...)(w, r)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = io.WriteString(w, "x")
				w.(http.Flusher).Flush()
			}
		}
	}
}

func TestDrip(t *testing.T) {
	t.Run("a reply is bounded by the timeout", func(t *testing.T) {
		s := newSubscriber(t, (*httptest.Server).Start, drip(200, "Ce-Specversion", "1.0"))
		o := newClient(t, Options{DefaultTimeout: 100 * time.Millisecond}).
			Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true})
		if o.Status != 200 || !errors.Is(o.ReplyErr, context.DeadlineExceeded) || o.Took > 5*time.Second {
			t.Errorf("%+v", o)
		}
	})
	for _, status := range []int{202, 500} {
		t.Run(fmt.Sprint(status, " is bounded by the grace"), func(t *testing.T) {
			s := newSubscriber(t, (*httptest.Server).Start, drip(status))
			c := newClient(t, Options{})
			c.grace = 100 * time.Millisecond
			o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true})
			if o.Status != status || o.Err != nil || o.Took > 5*time.Second {
				t.Errorf("%+v", o)
			}
			if status == 500 && !bytes.Contains(o.Body, []byte("x")) {
				t.Errorf("body %q", o.Body)
			}
		})
	}
}

// One connection serves all attempts one after the other, whatever is answered.
func TestConnectionIsKept(t *testing.T) {
	answers := []http.HandlerFunc{
		answer(200, ""), answer(202, "ok"), answer(204, ""), flushed(answer(202, "later")),
		answer(200, `{"specversion":"1.0","id":"2","source":"/s","type":"t"}`, "Content-Type", "application/cloudevents+json"),
		answer(200, "not an event"), answer(404, "nothing here"), answer(302, "", "Location", "/x"),
		answer(500, strings.Repeat("x", 60<<10)), flushed(answer(500, strings.Repeat("x", 60<<10))),
	}
	var n atomic.Int64
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		answers[int(n.Add(1)-1)%len(answers)](w, r)
	})
	c := newClient(t, Options{})
	for range 5 * len(answers) {
		if o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true}); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if got := s.connections.Load(); got != 1 {
		t.Errorf("%d connections", got)
	}
}

// A connection that breaks under a request ends the attempt: the event is not
// sent a second time, which the transport does with requests that may repeat.
func TestExactlyOneAttempt(t *testing.T) {
	var requests atomic.Int64
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if requests.Add(1) > 1 {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}
	})
	c := newClient(t, Options{})
	if o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{}); o.Status != 200 {
		t.Fatalf("%+v", o)
	}
	if o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{}); o.Err == nil {
		t.Errorf("%+v", o)
	}
	if requests.Load() != 2 || s.connections.Load() != 1 {
		t.Errorf("%d requests over %d connections", requests.Load(), s.connections.Load())
	}
}

// A body that is too long to be drained costs its connection and no more.
func TestEndlessErrorBody(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	c := newClient(t, Options{})
	for range 3 {
		o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{})
		if o.Status != 500 || len(o.Body) != MaxBody {
			t.Fatalf("%+v", o)
		}
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

func TestProxyIsNotTakenFromTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	s := newSubscriber(t, (*httptest.Server).Start, answer(200, ""))
	// Only a host that is not local would go to the environment's proxy.
	proxied := newClient(t, Options{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(s.URL) }})
	dest := &routing.Destination{URL: "http://subscriber.example/"}
	if o := proxied.Send(t.Context(), dest, testEvent(), SendOptions{}); o.Status != 200 {
		t.Errorf("through a proxy: %+v", o)
	}
	tr, err := newTransport("", nil)
	if err != nil || tr.Proxy != nil {
		t.Errorf("the default has a proxy (%v)", err)
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

func TestConcurrentSends(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer(200, string(body), "Ce-Specversion", "1.0", "Ce-Id", r.Header.Get("Ce-Id"), "Ce-Source", "/s", "Ce-Type", "t")(w, r)
	})
	c := newClient(t, Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				e := testEvent()
				e.Set("id", fmt.Sprint(i, "-", j))
				e.SetData([]byte(e.ID()))
				o := c.Send(t.Context(), s.dest(), e, SendOptions{PreferReply: true})
				if o.Reply == nil || o.Reply.ID() != e.ID() || string(o.Reply.Data()) != e.ID() {
					t.Errorf("%+v", o)
				}
			}
		})
	}
	wg.Wait()
}
