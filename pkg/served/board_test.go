package served_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"leat.dev/leat/pkg/served"
)

// get asks a Board, without a network.
func get(ctx context.Context, b *served.Board, query url.Values) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, served.Path+"?"+query.Encode(), nil).WithContext(ctx)
	b.Handler().ServeHTTP(w, r)
	return w
}

func snapshotOf(t *testing.T, w *httptest.ResponseRecorder) served.Snapshot {
	t.Helper()
	var s served.Snapshot
	if err := json.Unmarshal(w.Body.Bytes(), &s); w.Code != http.StatusOK || err != nil {
		t.Fatalf("answered %d %q: %v", w.Code, w.Body, err)
	}
	return s
}

// after is the question for what comes after a snapshot.
func after(s served.Snapshot) url.Values {
	return url.Values{"instance": {s.Instance}, "version": {strconv.FormatUint(s.Version, 10)}}
}

func oneStream(uid string, routes map[string]served.Route) map[string]served.Stream {
	return map[string]served.Stream{"broker/shop/orders": {UID: uid, Routes: routes}}
}

func TestBoardTellsWhatIsServed(t *testing.T) {
	b := served.NewBoard()
	routes := map[string]served.Route{"trigger/shop/a/1": {Fingerprint: "f"}, "b": {Fingerprint: "g", Problem: "filter: no"}}
	b.Publish(oneStream("u", routes), map[string]string{"channel/shop/old": "v"})
	s := snapshotOf(t, get(t.Context(), b, nil))
	if s.Instance == "" || s.Version != 1 || s.Streams["broker/shop/orders"].UID != "u" ||
		len(s.Streams["broker/shop/orders"].Routes) != 2 || s.Streams["broker/shop/orders"].Routes["b"] != routes["b"] ||
		s.Removed["channel/shop/old"] != "v" {
		t.Errorf("it tells %+v", s)
	}
	another := served.NewBoard()
	another.Publish(nil, nil)
	if other := snapshotOf(t, get(t.Context(), another, after(s))); other.Instance == s.Instance {
		t.Error("two Boards are one instance")
	}
}

func TestBoardWaitsForNews(t *testing.T) {
	changes := map[string]func(b *served.Board){
		"a route": func(b *served.Board) {
			b.Publish(oneStream("u", map[string]served.Route{"a": {Fingerprint: "other"}}), nil)
		},
		"a route less": func(b *served.Board) { b.Publish(oneStream("u", nil), nil) },
		"a problem": func(b *served.Board) {
			b.Publish(oneStream("u", map[string]served.Route{"a": {Fingerprint: "f", Problem: "p"}}), nil)
		},
		"a UID": func(b *served.Board) {
			b.Publish(oneStream("v", map[string]served.Route{"a": {Fingerprint: "f"}}), nil)
		},
		"no stream": func(b *served.Board) { b.Publish(nil, nil) },
		"removed": func(b *served.Board) {
			b.Publish(oneStream("u", map[string]served.Route{"a": {Fingerprint: "f"}}), map[string]string{"broker/x/y": "z"})
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := served.NewBoard()
				publish := func() { b.Publish(oneStream("u", map[string]served.Route{"a": {Fingerprint: "f"}}), nil) }
				publish()
				s := snapshotOf(t, get(t.Context(), b, url.Values{"instance": {"another"}, "version": {"1"}}))
				began := time.Now()
				time.AfterFunc(5*time.Second, publish) // nothing new
				time.AfterFunc(10*time.Second, func() { change(b) })
				got := snapshotOf(t, get(t.Context(), b, after(s)))
				if took := time.Since(began); took != 10*time.Second || got.Version != s.Version+1 {
					t.Errorf("after %v it told version %d, want %d after 10s", took, got.Version, s.Version+1)
				}
			})
		})
	}
}

func TestBoardAnswersInTime(t *testing.T) {
	for _, tt := range []struct {
		wait string
		want time.Duration
	}{{"", 30 * time.Second}, {"10s", 10 * time.Second}, {"1h", 30 * time.Second}, {"0s", 0}, {"-5s", 0}} {
		synctest.Test(t, func(t *testing.T) {
			b := served.NewBoard()
			b.Publish(nil, nil)
			q := after(snapshotOf(t, get(t.Context(), b, nil)))
			if tt.wait != "" {
				q.Set("wait", tt.wait)
			}
			began := time.Now()
			w := get(t.Context(), b, q)
			if took := time.Since(began); w.Code != http.StatusNoContent || took != tt.want {
				t.Errorf("wait=%s was answered %d after %v, want 204 after %v", tt.wait, w.Code, took, tt.want)
			}
		})
	}
}

// A data plane that starts must not seem to serve nothing.
func TestBoardSaysNothingBeforeTheFirstPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := served.NewBoard()
		if w := get(t.Context(), b, nil); w.Code != http.StatusServiceUnavailable {
			t.Errorf("before the first Publish it answers %d %s", w.Code, w.Body)
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { b.Publish(nil, nil) })
		snapshotOf(t, get(t.Context(), b, nil))
		if took := time.Since(began); took != time.Second {
			t.Errorf("the first Publish was told after %v", took)
		}
	})
}

func TestBoardCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := served.NewBoard()
		b.Publish(nil, nil)
		q := after(snapshotOf(t, get(t.Context(), b, nil)))
		began := time.Now()
		time.AfterFunc(time.Second, func() { b.Close(); b.Close() })
		w := get(t.Context(), b, q)
		if took := time.Since(began); took != time.Second || w.Code != http.StatusServiceUnavailable {
			t.Errorf("it was answered %d after %v, want 503 after 1s", w.Code, took)
		}
		b.Publish(oneStream("u", nil), nil)
		if w := get(t.Context(), b, nil); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a closed Board answers %d", w.Code)
		}
	})
}

func TestBoardBoundsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := served.NewBoard()
		b.Publish(nil, nil)
		q := after(snapshotOf(t, get(t.Context(), b, nil)))
		ctx, leave := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for range 64 {
			waiting.Go(func() { get(ctx, b, q) })
		}
		synctest.Wait()
		began := time.Now()
		w := get(t.Context(), b, q)
		if time.Since(began) != 0 || w.Code != http.StatusNoContent || w.Header().Get("Retry-After") != "1" {
			t.Errorf("one too many was answered %d %v after %v", w.Code, w.Header(), time.Since(began))
		}
		b.Publish(oneStream("u", nil), nil)
		snapshotOf(t, get(t.Context(), b, q)) // news are for everybody
		waiting.Wait()
		q = after(snapshotOf(t, get(t.Context(), b, nil)))
		for range 64 {
			waiting.Go(func() { get(ctx, b, q) })
		}
		synctest.Wait()
		leave()
		waiting.Wait()
		began = time.Now()
		if get(t.Context(), b, q); time.Since(began) != 30*time.Second {
			t.Error("those who have gone still take places")
		}
	})
}

func TestBoardRefuses(t *testing.T) {
	b := served.NewBoard()
	b.Publish(nil, nil)
	for _, q := range []url.Values{{"version": {"-1"}}, {"version": {"99999999999999999999"}}, {"wait": {"soon"}}} {
		if w := get(t.Context(), b, q); w.Code != http.StatusBadRequest {
			t.Errorf("?%s was answered %d", q.Encode(), w.Code)
		}
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, served.Path, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST was answered %d", w.Code)
	}
}

// many is what a large data plane serves.
func many(routes int, edit func(i int, r *served.Route)) map[string]served.Stream {
	streams := map[string]served.Stream{}
	for i := range routes {
		name := fmt.Sprintf("broker/namespace-%d/default", i/100)
		if streams[name].Routes == nil {
			streams[name] = served.Stream{UID: "1f0b8a58-37a2-4f6b-9a50-0d6ff0d0f6b3", Routes: map[string]served.Route{}}
		}
		r := served.Route{Fingerprint: "c30ee1d9e6ef951132e5adae"}
		if edit != nil {
			edit(i, &r)
		}
		streams[name].Routes[fmt.Sprintf("trigger/namespace-%d/trigger-%d/1f0b8a58-37a2-4f6b-9a50-0d6ff0d0f6b3", i/100, i)] = r
	}
	return streams
}

func BenchmarkBoard(b *testing.B) {
	board := served.NewBoard()
	one := many(5000, nil)
	another := many(5000, func(i int, r *served.Route) {
		if i == 4711 {
			r.Fingerprint = "x"
		}
	})
	b.Run("publish the same", func(b *testing.B) {
		for b.Loop() {
			board.Publish(one, nil)
		}
	})
	b.Run("publish and tell another", func(b *testing.B) {
		for b.Loop() {
			one, another = another, one
			board.Publish(one, nil)
			b.SetBytes(int64(get(b.Context(), board, nil).Body.Len()))
		}
	})
}
