package deliver

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

// FuzzResponse: whatever bytes a subscriber answers, the outcome has a verdict
// and its parts are within their bounds.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents+json\r\nTransfer-Encoding: chunked\r\n\r\n3a\r\n" +
			`{"specversion":"1.0","id":"1","source":"/s","type":"t"}   ` + "\r\n0\r\n\r\n",
		"HTTP/1.1 202 Accepted\r\nce-specversion: 1.0\r\n\r\nx",
		"HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\nContent-Length: 99999\r\n\r\nhalf",
		"HTTP/1.1 429 Busy\r\nRetry-After: 99999999999\r\n\r\n" + strings.Repeat("x", 2*MaxBody),
		"HTTP/1.0 301 Moved\r\nLocation: http://x\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
	} {
		f.Add([]byte(seed), true, true)
		f.Add([]byte(seed), true, false)
		f.Add([]byte(seed), false, false)
	}
	client := New(Options{MaxReplyBytes: 1000})
	f.Fuzz(func(t *testing.T, response []byte, prefer, allow bool) {
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(response)), nil)
		if err != nil {
			return
		}
		to := &target{large: make(chan struct{}, largeReplies)}
		out := client.read(t.Context(), to, resp, SendOptions{PreferReply: prefer, AllowNonEvent: allow}, func() {})
		_ = resp.Body.Close() // of bytes
		verdict := Classify(out)
		switch {
		case out.Status != resp.StatusCode || len(out.Body) > MaxBody:
			t.Fatalf("status %d, %d bytes of the body", out.Status, len(out.Body))
		case out.Reply != nil && (!prefer || out.ReplyErr != nil || verdict != Delivered || out.Status == http.StatusAccepted):
			t.Fatalf("%d with a reply (%v): %v", out.Status, out.ReplyErr, verdict)
		case out.Reply != nil && (out.Reply.ID() == "" || len(out.Reply.Data()) > 1000):
			t.Fatalf("the reply %q with %d bytes", out.Reply.ID(), len(out.Reply.Data()))
		case out.RetryAfter < 0 || out.RetryAfter > maxDelay:
			t.Fatalf("to be tried again after %v", out.RetryAfter)
		case verdict == Delivered && (out.Status/100 != 2 || out.ReplyErr != nil):
			t.Fatalf("%d, %v is taken for delivered", out.Status, out.ReplyErr)
		}
		e := testEvent()
		SetErrorAttributes(e, "http://x", out)
		if data, _ := e.Get("knativeerrordata"); len(data) > 1024 {
			t.Fatalf("knativeerrordata has %d bytes", len(data))
		}
	})
}

// FuzzRetryAfter: what a header asks for is between nothing and a year.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "120", "-1", "99999999999999999999", "Sun, 01 Mar 2026 12:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "1e9"} {
		f.Add(s, int64(1772366400))
	}
	f.Fuzz(func(t *testing.T, header string, now int64) {
		if d := parseRetryAfter(header, time.Unix(now, 0)); d < 0 || d > maxDelay {
			t.Fatalf("%q at %d: %v", header, now, d)
		}
	})
}

// FuzzDestination: an address is usable or refused, and a refusal shows no
// password.
func FuzzDestination(f *testing.F) {
	for _, s := range []string{
		"http://a.example", "https://user:hunter2@a.example:8443/p?q#f", "http://[::1]:80/%zz", "ftp://x", "//x", "http://", "http://user:hunter2@[",
		"http://user:hunter2@/x", "http://x:port/", "\x00", "http://user:hunter2@x\n",
	} {
		f.Add(s)
	}
	client := New(Options{})
	f.Fuzz(func(t *testing.T, address string) {
		target, err := client.targets.get(&routing.Destination{URL: address})
		switch {
		case err != nil && strings.Contains(err.Error(), "hunter2") && strings.Contains(address, ":hunter2@"):
			t.Fatalf("the refusal shows the password: %v", err)
		case err == nil && (target.template.URL.Host == "" || target.template.URL.Fragment != ""):
			t.Fatalf("%q is taken as %v", address, target.template.URL)
		}
	})
}
