package crash

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// request is one POST: its events are stored together or not at all.
type request struct {
	// stream is where it went, such as "/test/orders".
	stream string
	ids    []string
	at     time.Time // when it was sent
	acked  bool
}

// ledger is what was sent, and what of it was answered with 202.
type ledger struct {
	mu       sync.Mutex
	requests []*request
	byID     map[string]*request
	acked    int // events
}

func newLedger() *ledger { return &ledger{byID: map[string]*request{}} }

func (l *ledger) sent(stream string, ids ...string) *request {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &request{stream: stream, ids: ids, at: time.Now()}
	l.requests = append(l.requests, r)
	for _, id := range ids {
		l.byID[id] = r
	}
	return r
}

func (l *ledger) answered(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.acked = true
	l.acked += len(r.ids)
}

// audit says what is wrong with what one route has got of a stream: nothing
// acknowledged may be missing, nothing may be there that was not sent, and no
// request may be there in part.
func (l *ledger) audit(route, stream string, got map[string]int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wrong []string
	for _, r := range l.requests {
		if r.stream != stream {
			continue
		}
		var missing []string
		for _, id := range r.ids {
			if got[id] == 0 {
				missing = append(missing, id)
			}
		}
		switch {
		case len(missing) == 0:
		case r.acked:
			wrong = append(wrong, fmt.Sprintf("%s: lost %s, which was answered with 202", route, strings.Join(missing, " ")))
		case len(missing) < len(r.ids):
			wrong = append(wrong, fmt.Sprintf("%s: lost %s of the batch %s", route, strings.Join(missing, " "), strings.Join(r.ids, " ")))
		}
	}
	for id := range got {
		if r := l.byID[id]; r == nil || r.stream != stream {
			wrong = append(wrong, fmt.Sprintf("%s: got %q, which was never sent there", route, id))
		}
	}
	return wrong
}
