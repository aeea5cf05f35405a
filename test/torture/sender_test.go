package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// senders post numbered events, each of a size that no compression makes
// smaller.
type senders struct {
	url    func() string
	size   int
	client *http.Client
	next   atomic.Int64
	// acked are those that were answered with 202.
	acked numbers

	mu       sync.Mutex
	statuses map[int]int
}

func newSenders(t *testing.T, size int, url func() string) *senders {
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &senders{
		url: url, size: size, statuses: map[int]int{},
		client: &http.Client{Transport: transport, Timeout: time.Minute},
	}
}

// run lets so many senders post until enough says that it is, which is told of
// each answer.
func (s *senders) run(t *testing.T, senders int, enough func(status int) bool) {
	t.Helper()
	var all sync.WaitGroup
	var stop atomic.Bool
	for range senders {
		all.Go(func() {
			chance := rand.NewChaCha8([32]byte{byte(s.next.Load())})
			data := make([]byte, s.size)
			for !stop.Load() {
				status, err := s.post(t.Context(), chance, data)
				if err != nil {
					t.Error(err)
					stop.Store(true)
					return
				}
				if enough(status) {
					stop.Store(true)
				}
			}
		})
	}
	all.Wait()
}

// send posts so many events more.
func (s *senders) send(t *testing.T, senders, events int) {
	t.Helper()
	end := s.next.Load() + int64(events-senders)
	s.run(t, senders, func(status int) bool {
		if status != http.StatusAccepted {
			t.Errorf("an event was answered %d", status)
			return true
		}
		return s.next.Load() >= end
	})
}

// post sends the next event.
func (s *senders) post(ctx context.Context, chance *rand.ChaCha8, data []byte) (int, error) {
	number := int(s.next.Add(1))
	if _, err := chance.Read(data); err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(), bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	req.Header["Ce-Id"] = []string{strconv.Itoa(number)}
	req.Header["Ce-Source"] = []string{"/torture"}
	req.Header["Ce-Specversion"] = []string{"1.0"}
	req.Header["Ce-Type"] = []string{"order"}
	req.Header["Ce-Partitionkey"] = []string{"key" + strconv.Itoa(number%keys)}
	req.Header["Content-Type"] = []string{"application/octet-stream"}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return 0, err
	}
	if res.StatusCode == http.StatusAccepted {
		s.acked.add(number)
	} else if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || seconds < 1 {
		return 0, fmt.Errorf("the answer %s does not say when to try again", res.Status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses[res.StatusCode]++
	return res.StatusCode, nil
}

// keys is how many partition keys there are: event n has the key n mod keys.
const keys = 1000

// answers are the statuses so far, each with how often.
func (s *senders) answers() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.statuses)
}
