package crash

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/test/harness"
)

// witness sees the 202s leave and the events arrive, until the power is cut.
type witness struct {
	mu   sync.Mutex
	dark bool
	// acked and arrived are ids; arrived by subscriber.
	acked   map[string]bool
	arrived map[string]map[string]int
}

func newWitness() *witness {
	return &witness{acked: map[string]bool{}, arrived: map[string]map[string]int{}}
}

// cut makes the image of the disk at a moment between what was seen and what
// will not be seen.
func (w *witness) cut(disk *vfs.MemFS, cfg vfs.CrashCloneCfg) *vfs.MemFS {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dark = true
	return disk.CrashClone(cfg)
}

func (w *witness) light() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dark = false
}

// watch notes each 202 at the moment at which it leaves.
func (w *witness) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&answerWitness{rw, w, r.Header.Values("Ids")}, r)
	})
}

type answerWitness struct {
	http.ResponseWriter
	*witness
	ids []string
}

func (a *answerWitness) WriteHeader(status int) {
	if status == http.StatusAccepted {
		a.mu.Lock()
		for _, id := range a.ids {
			if !a.dark {
				a.acked[id] = true
			}
		}
		a.mu.Unlock()
	}
	a.ResponseWriter.WriteHeader(status)
}

// subscriber answers as subscribers do, and not at all when the power is cut.
func (w *witness) subscriber(t *testing.T, name string, answer func(http.ResponseWriter, string, int)) string {
	w.arrived[name] = map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Ce-Id")
		w.mu.Lock()
		dark := w.dark
		if !dark {
			w.arrived[name][id]++
		}
		times := w.arrived[name][id]
		w.mu.Unlock()
		if dark {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answer(rw, id, times)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

var ordersStream = routing.StreamName{Kind: routing.Broker, Namespace: harness.Namespace, Name: "orders"}

// cutWorld is a Broker with a healthy route, one that replies, one that gets
// the replies and one whose events become dead letters that the broker keeps.
func cutWorld(t *testing.T, w *witness) *routing.Stream {
	route := func(name, eventType, url string) *routing.Route {
		return &routing.Route{
			ID: name, Kind: "Trigger", Namespace: harness.Namespace, Name: name, Stream: ordersStream,
			Filter:      routing.Filter{Attributes: map[string]string{"type": eventType}},
			Subscriber:  &routing.Destination{URL: url},
			Delivery:    routing.Delivery{Retry: 1, BackoffDelay: 5 * time.Millisecond},
			MaxInFlight: 10,
		}
	}
	healthy := w.subscriber(t, "healthy", func(rw http.ResponseWriter, _ string, _ int) {
		time.Sleep(time.Millisecond) // so that a cut finds events that wait
		rw.WriteHeader(http.StatusOK)
	})
	return &routing.Stream{Name: ordersStream, Routes: []*routing.Route{
		route("healthy", "order", healthy),
		route("kept", "order", w.subscriber(t, "failing", refuse(http.StatusInternalServerError))),
		route("replies", "reply", w.subscriber(t, "replies", accept)),
		route("replying", "order", w.subscriber(t, "replying", reply)),
	}}
}

// lost says which acknowledged events are missing at which route, after cuts
// of the power.
func lost(t *testing.T, r *rand.Rand, fault syncFault, cuts int) (wrong []string, acked int) {
	w := newWitness()
	broker := cutWorld(t, w)
	disk := vfs.NewCrashableMem()
	p := startPlane(t, faultyFS{disk, fault}, broker, w)
	for i := range cuts {
		senders := &witnessedLoad{life: i, t: t}
		senders.start(p.server.URL + orders)
		time.Sleep(between(r, 2*time.Millisecond, 60*time.Millisecond))
		cfg := vfs.CrashCloneCfg{RNG: r}
		if fault == honest && r.IntN(2) == 0 {
			cfg.UnsyncedDataPercent = r.IntN(101)
		}
		image := w.cut(disk, cfg)
		senders.end()
		p.close(t)
		w.light()
		disk = image
		p = startPlane(t, faultyFS{disk, fault}, broker, w)
	}
	p.settle(t)
	w.mu.Lock()
	w.arrived["kept"] = p.kept(t, ordersStream, "kept")
	w.mu.Unlock()
	p.close(t)
	for id := range w.acked {
		for _, route := range []string{"healthy", "kept", "replies"} {
			if w.arrived[route][id] == 0 {
				wrong = append(wrong, fmt.Sprintf("%s: lost %s, which was answered with 202", route, id))
			}
		}
	}
	return wrong, len(w.acked)
}

// witnessedLoad sends single events and batches, each with its ids in a header
// for the witness.
type witnessedLoad struct {
	life int
	t    *testing.T
	stop chan struct{}
	done sync.WaitGroup
}

func (l *witnessedLoad) start(url string) {
	l.stop = make(chan struct{})
	for i, m := range []mode{single(harness.Binary), single(harness.Structured), batch} {
		l.done.Go(func() { l.send(url, fmt.Sprintf("life%d-s%d", l.life, i), m) })
	}
}

func (l *witnessedLoad) end() { close(l.stop); l.done.Wait() }

func (l *witnessedLoad) send(url, name string, m mode) {
	n := 0
	newID := func() string { n++; return fmt.Sprintf("%s-%d", name, n) }
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		ids, header, body := m(newID)
		header["Ids"] = ids
		r, err := harness.TryDo(l.t.Context(), http.MethodPost, url, header, body)
		if err != nil || r.Status != http.StatusAccepted {
			l.t.Errorf("events were answered %d %s, %v", r.Status, r.Body, err)
			return
		}
	}
}

// After each cut the disk has what was synced, and some or none of the rest.
func TestPowerCut(t *testing.T) {
	others := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, others) })
	wrong, acked := lost(t, random(t), honest, 20)
	report(t, wrong)
	t.Logf("20 cuts, %d events acknowledged", acked)
	if acked < 100 {
		t.Errorf("only %d events were acknowledged: that is no load", acked)
	}
}

// The same test finds the two bugs that it is there for.
func TestPowerCutFindsPlantedFaults(t *testing.T) {
	for name, fault := range map[string]syncFault{"fsync taken out": syncLeftOut, "head before fsync": syncTooLate} {
		t.Run(name, func(t *testing.T) {
			r := random(t)
			for range 10 { // on a slow machine a cut may find nothing
				wrong, acked := lost(t, r, fault, 10)
				t.Logf("10 cuts, %d events acknowledged, %d mistakes", acked, len(wrong))
				if len(wrong) > 0 {
					return
				}
			}
			t.Error("no loss was found")
		})
	}
}
