package crash

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"leat.dev/leat/test/harness"
)

const (
	orders   = "/" + harness.Namespace + "/orders"
	payments = "/channels/" + harness.Namespace + "/payments"
)

// patience is how long a test waits while nothing at all moves.
const patience = 30 * time.Second

// lives are the processes, one after the other, on one data folder.
type lives struct {
	*harness.Process
	config harness.Config
	t      *testing.T
	// receivers are told of kills.
	receivers []*receiver
	kills     int
}

// lives are those in which the world is served.
func (w *world) lives(t *testing.T) *lives {
	t.Helper()
	l := newLives(t, w.manifests...)
	l.receivers, w.kept.lives = w.receivers, l
	return l
}

func newLives(t *testing.T, manifests ...string) *lives {
	t.Helper()
	l := &lives{t: t, config: harness.Config{Manifests: t.TempDir(), Data: t.TempDir()}}
	l.apply("manifests.yaml", manifests...)
	t.Cleanup(func() {
		if l.Process == nil {
			return
		}
		if err := l.Process.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the last process's log:\n%s", l.Log)
		}
	})
	return l
}

func (l *lives) apply(file string, manifests ...string) {
	l.t.Helper()
	if err := harness.WriteManifest(l.config.Manifests, file, harness.Documents(manifests...)); err != nil {
		l.t.Fatal(err)
	}
}

// start begins a life. Its port is a new one: while the old one is free, a
// connection of this machine could take it.
func (l *lives) start() {
	l.t.Helper()
	p, err := harness.Run(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Process = p
}

// stillborn is a life that is killed after this time, serving or not.
func (l *lives) stillborn(after time.Duration) {
	l.t.Helper()
	p, err := harness.Launch(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Process = p
	time.Sleep(after)
	l.kill()
}

func (l *lives) kill() {
	l.t.Helper()
	l.kills++
	at := time.Now()
	if err := l.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	for _, r := range l.receivers {
		r.killed(at)
	}
}

// stop is SIGTERM; the process must end with 0.
func (l *lives) stop() {
	l.t.Helper()
	if err := l.Process.Stop(); err != nil {
		l.t.Fatal(err)
	}
}

// route is what must get all events of a stream: a receiver, or nil where they
// are dead letters that leat keeps.
type route struct {
	name   string
	stream string
	counts func() map[string]int
	*receiver
}

// world is a Broker with routes of every fate, and a channel.
type world struct {
	routes    []route
	receivers []*receiver
	failing   *receiver
	kept      *kept
	manifests []string
}

func newWorld(t *testing.T, r *rand.Rand) *world {
	w := &world{}
	chance := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
	var mu sync.Mutex
	slow := func(rw http.ResponseWriter, _ string, _ int) {
		mu.Lock()
		late := chance.IntN(20) == 0
		mu.Unlock()
		if late { // so that there are always some in flight
			time.Sleep(20 * time.Millisecond)
		}
		rw.WriteHeader(http.StatusOK)
	}
	add := func(name, stream string, answer func(http.ResponseWriter, string, int)) *receiver {
		rec := newReceiver(t, name, answer)
		w.routes = append(w.routes, route{name, stream, rec.counts, rec})
		return rec
	}
	healthy := add("healthy", orders, slow)
	w.failing = newReceiver(t, "failing", refuse(http.StatusInternalServerError))
	letters := add("dead letter sink", orders, accept)
	replying := add("replying", orders, reply)
	replies := add("replies", orders, accept)
	archive := add("subscription", payments, slow)
	hopeless := newReceiver(t, "hopeless", refuse(http.StatusBadRequest))
	w.kept = newKept(t, "hopeless")
	w.routes = append(w.routes, route{name: "kept by leat", stream: orders, counts: w.kept.counts})
	w.receivers = []*receiver{healthy, w.failing, letters, replying, replies, archive, hopeless}
	w.manifests = []string{
		harness.Broker("orders", "delivery: {retry: 5, backoffPolicy: exponential, backoffDelay: PT0.02S}"),
		harness.Trigger("healthy", "orders", healthy.url, onlyOrders),
		harness.Trigger("failing", "orders", w.failing.url, onlyOrders, fmt.Sprintf(
			"delivery: {retry: 1, backoffPolicy: exponential, backoffDelay: PT0.05S, deadLetterSink: {uri: %q}}", letters.url)),
		harness.Trigger("replying", "orders", replying.url, onlyOrders),
		harness.Trigger("replies", "orders", replies.url, "filters: [{exact: {type: reply}}]"),
		harness.Trigger("hopeless", "orders", hopeless.url, onlyOrders),
		harness.Channel("payments"),
		harness.Subscription("archive", "payments", archive.url),
	}
	return w
}

const onlyOrders = "filter: {attributes: {type: order}}"

// reply answers with an event of the same id and data, of the type reply.
func reply(w http.ResponseWriter, id string, _ int) {
	e := harness.Event(id, harness.Type("reply"), harness.Source("/replying"), harness.Data(event.ApplicationJSON, data(id)))
	header, body := harness.Binary(e)
	for name, values := range header {
		w.Header()[name] = values
	}
	_, _ = w.Write(body) // who does not read it was killed
}

// wrong says what the routes lack.
func (w *world) wrong(l *ledger) (wrong []string) {
	for _, r := range w.routes {
		wrong = append(wrong, l.audit(r.name, r.stream, r.counts())...)
	}
	return wrong
}

// settle waits until nothing is wrong any more. It gives up when that has not
// come nearer for a long time.
func settle(t *testing.T, wrong func() []string) {
	t.Helper()
	last, since := -1, time.Now()
	for {
		now := wrong()
		if len(now) == 0 {
			return
		}
		if len(now) != last {
			last, since = len(now), time.Now()
		}
		if time.Since(since) > patience {
			report(t, now)
			t.FailNow()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// report fails the test with what is wrong, not more than a reader can use.
func report(t *testing.T, wrong []string) {
	t.Helper()
	if len(wrong) == 0 {
		return
	}
	slices.Sort(wrong)
	shown := wrong[:min(len(wrong), 20)]
	t.Errorf("%d mistakes:\n%s", len(wrong), strings.Join(shown, "\n"))
}
