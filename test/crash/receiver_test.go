package crash

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// got is one request that a receiver was sent.
type got struct {
	// life counts the processes; this one sent it.
	life int
	// answered is zero until then.
	answered time.Time
}

// receiver is a subscriber that remembers when each event came, and nothing
// more: it gets many.
type receiver struct {
	name, url string
	answer    func(w http.ResponseWriter, id string, times int)

	t    testing.TB
	mu   sync.Mutex
	seen map[string][]got
	// kills are when the lives ended, in order.
	kills []time.Time
	conns int
}

// newReceiver starts one that lives as long as the test. answer may be called
// concurrently; times counts the requests with this event, from 1.
func newReceiver(t testing.TB, name string, answer func(w http.ResponseWriter, id string, times int)) *receiver {
	r := &receiver{name: name, answer: answer, t: t, seen: map[string][]got{}}
	server := httptest.NewUnstartedServer(r)
	server.Config.ConnState = r.connState
	server.Start()
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func accept(w http.ResponseWriter, _ string, _ int) { w.WriteHeader(http.StatusAccepted) }

func refuse(status int) func(http.ResponseWriter, string, int) {
	return func(w http.ResponseWriter, _ string, _ int) { w.WriteHeader(status) }
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was killed
	}
	id := req.Header.Get("Ce-Id")
	if want := data(id); string(body) != string(want) {
		r.t.Errorf("%s: event %q came with the data %q, want %q", r.name, id, body, want)
	}
	times := r.note(id)
	r.answer(w, id, times)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[id][times-1].answered = time.Now()
}

func (r *receiver) note(id string) (times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[id] = append(r.seen[id], got{life: len(r.kills)})
	return len(r.seen[id])
}

func (r *receiver) connState(_ net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch state {
	case http.StateNew:
		r.conns++
	case http.StateClosed:
		r.conns--
	}
}

// killed is told that the process which sends was killed, and when. It waits
// until all that the process had sent is noted.
func (r *receiver) killed(at time.Time) {
	harness.Eventually(r.t, r.name+" is done with what a killed process sent", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.conns == 0
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kills = append(r.kills, at)
}

// counts is how often each event came.
func (r *receiver) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := make(map[string]int, len(r.seen))
	for id, all := range r.seen {
		n[id] = len(all)
	}
	return n
}

// total is how many requests came.
func (r *receiver) total() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, all := range r.seen {
		n += len(all)
	}
	return n
}

// repeats are the events that came more than once.
type repeats struct {
	total int
	// unexplained came twice from one process.
	unexplained []string
	// most were those of one kill.
	most int
	// oldest is how long before its kill a repeated delivery had been answered,
	// at most.
	oldest time.Duration
}

func (r *receiver) repeats() (sum repeats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	perLife := make([]int, len(r.kills))
	for id, all := range r.seen {
		for i := 1; i < len(all); i++ {
			sum.total++
			before := all[i-1]
			if before.life == all[i].life {
				sum.unexplained = append(sum.unexplained, id)
				continue
			}
			perLife[before.life]++
			sum.most = max(sum.most, perLife[before.life])
			sum.oldest = max(sum.oldest, r.kills[before.life].Sub(before.answered))
		}
	}
	return sum
}
