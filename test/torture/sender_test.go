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
	// sending, if set, is told of each event before it is sent.
	sending func(number int)
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

// send posts so many events more. Those of one key are posted one after the
// other, so that they are stored in the order of their numbers.
func (s *senders) send(t *testing.T, events int) {
	t.Helper()
	const senders = 50 // divides keys
	begin := int(s.next.Add(int64(events))) - events
	var all sync.WaitGroup
	for n := range senders {
		all.Go(func() {
			chance, data := rand.NewChaCha8([32]byte{byte(n)}), make([]byte, s.size)
			for number := begin + 1; number <= begin+events; number++ {
				if number%senders != n {
					continue
				}
				if status, err := s.postNumber(t.Context(), number, chance, data); err != nil || status != http.StatusAccepted {
					t.Errorf("event %d was answered %d, %v", number, status, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// pace posts so many events, at a rate per second that does not depend on how
// fast they are answered, unless 64 are waiting for an answer.
func (s *senders) pace(t *testing.T, rate, events int) {
	t.Helper()
	due := make(chan struct{})
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			chance, data := rand.NewChaCha8([32]byte{byte(n)}), make([]byte, s.size)
			for range due {
				if status, err := s.post(t.Context(), chance, data); err != nil || status != http.StatusAccepted {
					t.Errorf("an event was answered %d, %v", status, err)
				}
			}
		})
	}
	begun := time.Now()
	for n := range events {
		time.Sleep(time.Until(begun.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		due <- struct{}{}
	}
	close(due)
	all.Wait()
}

// post sends the next event.
func (s *senders) post(ctx context.Context, chance *rand.ChaCha8, data []byte) (int, error) {
	return s.postNumber(ctx, int(s.next.Add(1)), chance, data)
}

func (s *senders) postNumber(ctx context.Context, number int, chance *rand.ChaCha8, data []byte) (int, error) {
	if _, err := chance.Read(data); err != nil {
		return 0, err
	}
	if s.sending != nil {
		s.sending(number)
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
