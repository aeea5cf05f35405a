package torture

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
)

// sink is a subscriber that counts numbered events.
type sink struct {
	url string
	got numbers
	// answer answers an event that was counted; nil answers 200.
	answer func(w http.ResponseWriter, number int)

	mu   sync.Mutex
	open chan struct{} // closed: events are answered
	stop chan struct{}
}

func newSink(t *testing.T, answer func(http.ResponseWriter, int)) *sink {
	s := &sink{answer: answer, open: make(chan struct{}), stop: make(chan struct{})}
	close(s.open)
	server := httptest.NewServer(s)
	s.url = server.URL
	t.Cleanup(func() {
		close(s.stop)
		server.Close()
	})
	return s
}

// hang makes the sink answer nothing until resume.
func (s *sink) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = make(chan struct{})
}

func (s *sink) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.open)
}

// ServeHTTP implements http.Handler. What is held up is counted when it is
// answered.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // the sender has gone
	}
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	select {
	case <-open:
	case <-r.Context().Done():
		return
	case <-s.stop:
		return
	}
	number, err := strconv.Atoi(r.Header.Get("Ce-Id"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.got.add(number)
	if s.answer != nil {
		s.answer(w, number)
	}
}
