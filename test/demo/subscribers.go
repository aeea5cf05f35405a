package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"text/tabwriter"
	"time"
)

// subscriber is one of the demo's services. It counts deliveries by event id.
type subscriber struct {
	name, does string
	// counts says whether each acknowledged event must arrive here.
	counts bool
	answer func(w http.ResponseWriter, id string)

	server *http.Server
	port   int

	mu   sync.Mutex
	seen map[string]int
}

type world struct{ subscribers []*subscriber }

func startSubscribers() (*world, error) {
	accept := func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusAccepted) }
	fail := func(w http.ResponseWriter, _ string) {
		http.Error(w, "the billing system is down", http.StatusInternalServerError)
	}
	reply := func(w http.ResponseWriter, id string) {
		w.Header().Set("Ce-Specversion", "1.0")
		w.Header().Set("Ce-Id", id)
		w.Header().Set("Ce-Source", "/pricing")
		w.Header().Set("Ce-Type", "dev.example.order.priced")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"order":%q,"total":"5.40"}`, id)
	}
	w := &world{}
	for _, s := range []*subscriber{
		{name: "shipping", does: "accepts", counts: true, answer: accept},
		{name: "billing", does: "always fails with 500", answer: fail},
		{name: "dead-letters", does: "takes what billing could not", counts: true, answer: accept},
		{name: "pricing", does: "accepts and replies", counts: true, answer: reply},
		{name: "archive", does: "gets the replies, over Trigger priced and the Channel", counts: true, answer: accept},
	} {
		if err := s.start(); err != nil {
			w.close()
			return nil, err
		}
		w.subscribers = append(w.subscribers, s)
	}
	return w, nil
}

func (s *subscriber) start() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.seen, s.port = map[string]int{}, l.Addr().(*net.TCPAddr).Port
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(l) }()
	return nil
}

func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := r.Header.Get("Ce-Id")
	s.mu.Lock()
	s.seen[id]++
	s.mu.Unlock()
	s.answer(w, id)
}

func (w *world) ports() map[string]int {
	ports := map[string]int{}
	for _, s := range w.subscribers {
		ports[s.name] = s.port
	}
	return ports
}

func (w *world) close() {
	for _, s := range w.subscribers {
		_ = s.server.Close()
	}
}

// missing counts acknowledged events that have not arrived where they must.
func (s *subscriber) missing(acked map[string]bool) (n int) {
	if !s.counts {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range acked {
		if s.seen[id] == 0 {
			n++
		}
	}
	return n
}

// await returns when nothing is missing, or how much is when ctx ends.
func (w *world) await(ctx context.Context, acked map[string]bool) int {
	for {
		missing := 0
		for _, s := range w.subscribers {
			missing += s.missing(acked)
		}
		if missing == 0 {
			return 0
		}
		select {
		case <-ctx.Done():
			return missing
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// print shows what went where.
func (w *world) print(acked map[string]bool) {
	fmt.Println()
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 3, ' ', 0)
	fmt.Fprintln(t, "subscriber\tdoes\tevents\trequests\tmissing")
	for _, s := range w.subscribers {
		missing := s.missing(acked)
		s.mu.Lock()
		requests := 0
		for _, times := range s.seen {
			requests += times
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\n", s.name, s.does, len(s.seen), requests, missing)
		s.mu.Unlock()
	}
	_ = t.Flush()
	fmt.Println("\nMore requests than events are retries, and what was in flight when the broker was killed.")
}
