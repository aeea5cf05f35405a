package deliver

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"leat.dev/leat/pkg/routing"
)

// BenchmarkSend sends an event of 1 KiB to a subscriber in the same process,
// beside the least that any client does for it.
func BenchmarkSend(b *testing.B) {
	data := bytes.Repeat([]byte("x"), 1024)
	accept := answer(202, "")
	reply := answer(200, string(data), "Ce-Specversion", "1.0", "Ce-Id", "2", "Ce-Source", "/s", "Ce-Type", "t")
	read := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			h(w, r)
		}
	}

	b.Run("bare", func(b *testing.B) {
		s := newSubscriber(b, (*httptest.Server).Start, read(accept))
		tr, err := newTransport("", nil)
		if err != nil {
			b.Fatal(err)
		}
		defer tr.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL, bytes.NewReader(data))
			req.Header.Set("Content-Type", "application/json")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	for name, bench := range map[string]struct {
		handler http.HandlerFunc
		opts    SendOptions
	}{
		"binary":     {accept, SendOptions{PreferReply: true, Namespace: "ns"}},
		"structured": {accept, SendOptions{PreferReply: true, Namespace: "ns", Format: routing.FormatJSON}},
		"reply":      {reply, SendOptions{PreferReply: true, Namespace: "ns"}},
	} {
		b.Run(name, func(b *testing.B) {
			s := newSubscriber(b, (*httptest.Server).Start, read(bench.handler))
			c := newClient(b, Options{})
			e := testEvent()
			e.SetData(data)
			dest := s.dest()
			b.ReportAllocs()
			for b.Loop() {
				if o := c.Send(b.Context(), dest, e, bench.opts); Classify(o) != Delivered {
					b.Fatalf("%+v", o)
				}
			}
		})
	}
}

// BenchmarkRequest is the part of Send that is ours alone: all but the
// transport.
func BenchmarkRequest(b *testing.B) {
	c := newClient(b, Options{})
	dest := &routing.Destination{URL: "http://subscriber.default.svc/"}
	e := testEvent()
	b.ReportAllocs()
	for b.Loop() {
		t, err := c.targets.get(dest)
		if err != nil {
			b.Fatal(err)
		}
		c.request(b.Context(), t, e, SendOptions{PreferReply: true, Namespace: "ns"})
	}
}
