package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"leat.dev/leat/test/e2e/account"
)

const (
	// underWay bounds the events that wait for their acknowledgment.
	underWay = 256
	// attemptTimeout is long enough for a slow answer, and short enough that a
	// connection to a pod that is gone does not count as one.
	attemptTimeout = 5 * time.Second
	// Between two attempts.
	firstPause, longestPause = 50 * time.Millisecond, time.Second
)

// senders are the sends under way and done, by name.
type senders struct {
	ctx    context.Context
	client *http.Client
	group  sync.WaitGroup

	mu   sync.Mutex
	byID map[string]*sender
}

func newSenders(ctx context.Context) *senders {
	return &senders{ctx: ctx, byID: make(map[string]*sender), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: underWay, IdleConnTimeout: 10 * time.Second},
		Timeout:   attemptTimeout,
	}}
}

func (s *senders) wait() { s.group.Wait() }

// A sender sends one Send.
type sender struct {
	account.Send
	name   string
	client *http.Client
	// stop ends new events.
	stop context.CancelFunc

	mu   sync.Mutex
	sent account.Sent
	last time.Time
}

func (s *senders) begin(w http.ResponseWriter, r *http.Request) {
	one := &sender{name: r.PathValue("name"), client: s.client, sent: account.Sent{Answers: make(map[string]int)}}
	if err := json.NewDecoder(r.Body).Decode(&one.Send); err != nil || one.PerSecond <= 0 {
		http.Error(w, fmt.Sprintf("not a Send: %v", err), http.StatusBadRequest)
		return
	}
	fresh, stop := context.WithCancel(s.ctx)
	one.stop = stop
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[one.name] != nil {
		http.Error(w, one.name+" is being sent already", http.StatusConflict)
		return
	}
	s.byID[one.name] = one
	s.group.Go(func() { one.run(s.ctx, fresh) })
	w.WriteHeader(http.StatusAccepted)
}

func (s *senders) find(w http.ResponseWriter, r *http.Request) *sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.byID[r.PathValue("name")]
	if one == nil {
		http.NotFound(w, r)
	}
	return one
}

func (s *senders) account(w http.ResponseWriter, r *http.Request) {
	if one := s.find(w, r); one != nil {
		one.mu.Lock()
		defer one.mu.Unlock()
		writeJSON(w, one.sent)
	}
}

func (s *senders) end(w http.ResponseWriter, r *http.Request) {
	if one := s.find(w, r); one != nil {
		one.stop()
	}
}

// run sends Count events, or as many as there are until fresh ends.
func (s *sender) run(ctx, fresh context.Context) {
	defer s.stop()
	ticker := time.NewTicker(time.Duration(float64(time.Second) / s.PerSecond))
	defer ticker.Stop()
	slots := make(chan struct{}, underWay)
	var group sync.WaitGroup
	for i := 0; i < s.Count && fresh.Err() == nil; i++ {
		select {
		case <-fresh.Done():
		case <-ticker.C:
			slots <- struct{}{}
			group.Go(func() {
				s.insist(ctx, fmt.Sprintf("%s-%d", s.name, i))
				<-slots
			})
		}
	}
	group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.Done = true
}

// insist sends an event until it is acknowledged.
func (s *sender) insist(ctx context.Context, id string) {
	for pause := firstPause; !s.attempt(ctx, id); pause = min(2*pause, longestPause) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// attempt reports whether the event was acknowledged.
func (s *sender) attempt(ctx context.Context, id string) bool {
	status, err := s.post(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.sent.Answers["no answer"]++
		s.sent.LastTrouble = fmt.Sprintf("%s: %v", id, err)
		return false
	case status/100 != 2:
		s.sent.Answers[fmt.Sprint(status)]++
		s.sent.LastTrouble = fmt.Sprintf("%s: %d", id, status)
		return false
	}
	s.sent.Answers[fmt.Sprint(status)]++
	s.sent.Acknowledged = append(s.sent.Acknowledged, id)
	now := time.Now()
	if !s.last.IsZero() {
		s.sent.LongestSilence = max(s.sent.LongestSilence, now.Sub(s.last).Seconds())
	}
	s.last = now
	return true
}

func (s *sender) post(ctx context.Context, id string) (status int, err error) {
	body := fmt.Appendf(nil, `{"id":%q,"padding":"%0200d"}`, id, 0)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "/leat/e2e", "Ce-Type": s.Type, "Content-Type": "application/json",
	} {
		r.Header.Set(name, value)
	}
	response, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return response.StatusCode, err
}
