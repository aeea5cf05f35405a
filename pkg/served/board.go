package served

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Path is where a Board is asked.
const Path = "/v1/served"

const (
	// longestWait is how long an answer may take that nothing has changed.
	longestWait = 30 * time.Second
	// maxWaiting bounds the requests that wait at once. Those beyond are
	// answered right away and told to come back in a second.
	maxWaiting = 64
)

// Board tells over HTTP what is served. Its methods may be called
// concurrently.
type Board struct {
	instance string

	mu      sync.Mutex
	now     *edition      // nil before the first Publish
	next    chan struct{} // closed when now has changed, or with the Board
	waiting int
	closed  bool
}

// edition is one snapshot, encoded when somebody asks for it first.
type edition struct {
	Snapshot
	text func() []byte
}

// NewBoard returns a Board that says nothing until the first Publish: a data
// plane that starts does not tell yet that it serves nothing.
func NewBoard() *Board {
	return &Board{instance: rand.Text(), next: make(chan struct{})}
}

// Publish says what is served from now on, by the names and IDs of Snapshot.
// The maps must not be changed afterwards. Nobody is told if nothing is
// different.
func (b *Board) Publish(streams map[string]Stream, removed map[string]string) {
	if streams == nil {
		streams = map[string]Stream{}
	}
	if removed == nil {
		removed = map[string]string{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &edition{Snapshot: Snapshot{Instance: b.instance, Version: 1, Streams: streams, Removed: removed}}
	if b.now != nil {
		if maps.Equal(b.now.Removed, removed) && maps.EqualFunc(b.now.Streams, streams, Stream.equal) {
			return
		}
		e.Version = b.now.Version + 1
	}
	e.text = sync.OnceValue(e.encode)
	b.now = e
	if !b.closed {
		close(b.next)
		b.next = make(chan struct{})
	}
}

func (s Stream) equal(other Stream) bool {
	return s.UID == other.UID && maps.Equal(s.Routes, other.Routes)
}

func (e *edition) encode() []byte {
	text, err := json.Marshal(&e.Snapshot)
	if err != nil {
		panic("BUG: a snapshot is strings and numbers: " + err.Error())
	}
	return text
}

// Close ends the requests that wait, and refuses all later ones: from now on
// nothing is certain. Closing twice is legal.
func (b *Board) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.next)
	}
}

// Handler answers GET of Path:
//
//	200  a snapshot other than ?instance= and ?version= name
//	204  the same one still, after ?wait= (a Go duration; at most, and without it, 30s)
//	503  there is nothing to say: the data plane starts or stops
//
// With Retry-After the answer came early, because too many wait.
func (b *Board) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, b.serve)
	return mux
}

// question is what a request knows, and how long it waits to learn more.
type question struct {
	instance string
	version  uint64
	wait     time.Duration
}

func readQuestion(r *http.Request) (q question, err error) {
	values := r.URL.Query()
	q = question{instance: values.Get("instance"), wait: longestWait}
	if text := values.Get("version"); text != "" {
		if q.version, err = strconv.ParseUint(text, 10, 64); err != nil {
			return q, err
		}
	}
	if text := values.Get("wait"); text != "" {
		wait, err := time.ParseDuration(text)
		if err != nil {
			return q, err
		}
		q.wait = min(max(wait, 0), longestWait)
	}
	return q, nil
}

func (q question) knows(e *edition) bool {
	return q.instance == e.Instance && q.version == e.Version
}

func (b *Board) serve(w http.ResponseWriter, r *http.Request) {
	q, err := readQuestion(r)
	if err != nil {
		http.Error(w, "version must be a number and wait a duration such as 10s", http.StatusBadRequest)
		return
	}
	e, early, open := b.await(r.Context(), q)
	w.Header().Set("Cache-Control", "no-store")
	if early {
		w.Header().Set("Retry-After", "1")
	}
	switch {
	case !open:
		http.Error(w, "the data plane is shutting down", http.StatusServiceUnavailable)
	case e == nil:
		http.Error(w, "the data plane is starting, its first routing table is being loaded", http.StatusServiceUnavailable)
	case q.knows(e):
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(e.text()) // who does not read it has gone
	}
}

// await returns the present edition, nil if there is none yet, once it is news
// or the time is up. early says that it did not wait because too many do.
func (b *Board) await(ctx context.Context, q question) (e *edition, early, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.quiet(q) {
		return b.now, false, !b.closed
	}
	if b.waiting >= maxWaiting {
		return b.now, true, true
	}
	b.waiting++
	defer func() { b.waiting-- }()
	timer := time.NewTimer(q.wait)
	defer timer.Stop()
	for waits := true; waits && b.quiet(q); {
		next := b.next
		b.mu.Unlock()
		select {
		case <-next:
		case <-timer.C:
			waits = false
		case <-ctx.Done():
			waits = false
		}
		b.mu.Lock()
	}
	return b.now, false, !b.closed
}

// quiet says that there is nothing yet which a question does not know. b.mu is
// held.
func (b *Board) quiet(q question) bool {
	return !b.closed && (b.now == nil || q.knows(b.now))
}
