package torture

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// badRoutes are subscribers that do all that one should not.
type badRoutes struct {
	url string
	// requests are counted by path.
	hanging, unavailable, slow, redirecting, endless, looping, elsewhere atomic.Int64

	stop chan struct{}
}

func newBadRoutes(t *testing.T) *badRoutes {
	b := &badRoutes{stop: make(chan struct{})}
	mux := http.NewServeMux()
	for path, handler := range map[string]struct {
		count *atomic.Int64
		serve http.HandlerFunc
	}{
		"/hanging":     {&b.hanging, b.wait},
		"/unavailable": {&b.unavailable, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
		"/slow":        {&b.slow, b.byteASecond},
		"/redirecting": {&b.redirecting, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}},
		"/endless":   {&b.endless, b.gibibyte},
		"/looping":   {&b.looping, echo},
		"/elsewhere": {&b.elsewhere, func(http.ResponseWriter, *http.Request) {}},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			handler.count.Add(1)
			handler.serve(w, r)
		})
	}
	server := httptest.NewServer(mux)
	b.url = server.URL
	t.Cleanup(func() {
		close(b.stop)
		server.CloseClientConnections()
		server.Close()
	})
	return b
}

// manifests are the Triggers of the Broker orders that lead to them. The loop
// has a type of its own, because what comes back is for all others of its type.
func (b *badRoutes) manifests(maxInFlight int) []string {
	const hour = "delivery: {retry: 1000, backoffPolicy: linear, backoffDelay: PT1H}"
	const often = "delivery: {retry: 1000, backoffPolicy: exponential, backoffDelay: PT1S}"
	trigger := func(name, eventType, delivery string) string {
		return harness.Annotated(
			harness.Trigger(name, "orders", b.url+"/"+name, fmt.Sprintf("filter: {attributes: {type: %s}}", eventType), delivery),
			fmt.Sprintf("leat.dev/max-in-flight: '%d'", maxInFlight))
	}
	return []string{
		trigger("hanging", "order", hour), trigger("slow", "order", hour), trigger("unavailable", "order", often),
		trigger("redirecting", "order", hour), trigger("endless", "order", often), trigger("looping", "loop", hour),
	}
}

// wait answers nothing.
func (b *badRoutes) wait(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-b.stop:
	case <-r.Context().Done():
	}
}

// byteASecond accepts a byte of the body each second.
func (b *badRoutes) byteASecond(_ http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for p := []byte{0}; ; {
		if _, err := r.Body.Read(p); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-b.stop:
			return
		}
	}
}

// mebibyte is a piece of gibibyte's answer, made once: the healthy subscribers are
// in the same process and must not wait for its garbage.
var mebibyte = strings.Repeat("x", 1<<20)

// gibibyte answers with an event of 1 GiB, and every other time without saying
// before how long it is.
func (b *badRoutes) gibibyte(w http.ResponseWriter, r *http.Request) {
	const size = 1 << 30
	setEvent(w.Header(), r.Header.Get("Ce-Id"), "order")
	if b.endless.Load()%2 == 0 {
		w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
	}
	for range size / len(mebibyte) {
		if _, err := io.WriteString(w, mebibyte); err != nil {
			return
		}
	}
}

// echo replies with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	for name, values := range r.Header {
		if strings.HasPrefix(name, "Ce-") || name == "Content-Type" {
			w.Header()[name] = values
		}
	}
	_, _ = io.Copy(w, r.Body) // who does not read it does not want it
}

// setEvent makes a response an event.
func setEvent(h http.Header, id, eventType string) {
	h["Ce-Id"], h["Ce-Source"], h["Ce-Type"], h["Ce-Specversion"] = []string{id}, []string{"/torture"}, []string{eventType}, []string{"1.0"}
}
