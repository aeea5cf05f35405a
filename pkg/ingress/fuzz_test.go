package ingress

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzRequest: whatever bytes a client sends, the answer is one of those that
// are documented, only a 202 stores anything, all of it is what an event may
// be, and the budget is whole again.
func FuzzRequest(f *testing.F) {
	head := func(target, headers string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: x\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n"
	}
	for _, seed := range []string{
		head("/ns/default", binary) + "Content-Length: 4\r\n\r\nbody",
		head("/ns/default", binary) + "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\nX: y\r\n\r\n",
		head("/ns/default", isJSON) + "Content-Length: 69\r\n\r\n" + jsonOne,
		head("/channels/ns/orders", isBatch) + "Content-Length: 141\r\n\r\n[" + jsonOne + "," + jsonOne + "]",
		head("/", "") + "Host: " + channelHost + "\r\n\r\n",
		head("/ns/full", binary+"\nce-knativebrokerttl: 1\nce-time: x") + "\r\n",
		head("/ns/default", binary+"\nce-subject: %41%ff\nknative-a: b\ntraceparent: c") + "\r\n",
		"PUT http://x/ns/default?a=b HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	known := []int{200, 202, 400, 404, 405, 408, 413, 500, 503, 507}
	f.Fuzz(func(t *testing.T, request []byte, streamed bool) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil {
			return
		}
		if streamed {
			r.ProtoMajor, r.ProtoMinor = 2, 0
		}
		world := newWorld()
		budget := NewBudget(testBody)
		all := budget.left.Load()
		w := httptest.NewRecorder()
		New(world.gate, Options{MaxBodyBytes: testBody, Budget: budget}).ServeHTTP(w, r)

		stored := append(world.broker.events(t), world.channel.events(t)...)
		if !slices.Contains(known, w.Code) || len(stored) > 0 && w.Code != http.StatusAccepted {
			t.Fatalf("answered %d %s with %d events stored", w.Code, w.Body, len(stored))
		}
		if w.Code >= 400 && (w.Body.Len() == 0 || w.Body.Len() > 500 || strings.Count(w.Body.String(), "\n") > 1) {
			t.Fatalf("answered %d with %q", w.Code, w.Body)
		}
		if left := budget.left.Load(); left != all {
			t.Fatalf("%d bytes were not given back", all-left)
		}
		for _, e := range stored {
			left, _ := e.Get("knativebrokerttl")
			if e.ID() == "" || e.Type() == "" || e.Source() == "" || left == "" || left == "0" || strings.HasPrefix(left, "-") {
				t.Fatalf("stored an event %q of type %q and source %q with %q hops", e.ID(), e.Type(), e.Source(), left)
			}
		}
	})
}

// FuzzFill: however a body comes in, it is all of it or an error.
func FuzzFill(f *testing.F) {
	f.Add(uint32(100), int64(100), uint16(7), int64(1<<20))
	f.Add(uint32(3*freeBody), int64(-1), uint16(4096), int64(freeBody))
	f.Add(uint32(5*freeBody), int64(6*freeBody), uint16(1), int64(1<<20))
	f.Fuzz(func(t *testing.T, length uint32, size int64, step uint16, room int64) {
		length %= 1 << 20
		if size < -1 {
			return
		}
		text := bytes.Repeat([]byte("0123456789"), int(length)/10+1)[:length]
		budget := &Budget{}
		budget.left.Store(max(room, 0))
		b := newBody(budget)
		b.bytes = b.small
		err := b.fill(&steps{bytes.NewReader(text), int(step) + 1}, size, size)
		want := text[:min(int64(length), max(size, 0))]
		if size < 0 {
			want = text
		}
		if err == nil && !bytes.Equal(b.bytes, want) {
			t.Fatalf("%d bytes of %d, said to be %d", len(b.bytes), length, size)
		}
		if taken := max(room, 0) - budget.left.Load(); taken < 0 || taken > max(room, 0) || taken == 0 && cap(b.bytes) > freeBody {
			t.Fatalf("%d bytes taken for a buffer of %d", taken, cap(b.bytes))
		}
		b.release()
		if left := budget.left.Load(); left != max(room, 0) {
			t.Fatalf("%d bytes left of %d", left, room)
		}
	})
}

// steps reads at most n bytes at once.
type steps struct {
	io.Reader
	n int
}

func (s *steps) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), s.n)]) }
