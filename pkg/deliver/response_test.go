package deliver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

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
