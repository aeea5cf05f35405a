package crash

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"leat.dev/leat/test/harness"
)

// data is what the event of this id carries; its length is not always the same.
func data(id string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"pad":%q}`, id, strings.Repeat(id, len(id)*3))
}

func orderEvent(id string) event.Event {
	return harness.Event(id, harness.Type("order"), harness.Data(event.ApplicationJSON, data(id)))
}

const batchSize = 5

// mode makes one request with new events.
type mode func(newID func() string) (ids []string, header http.Header, body []byte)

func single(write harness.Mode) mode {
	return func(newID func() string) ([]string, http.Header, []byte) {
		id := newID()
		header, body := write(orderEvent(id))
		return []string{id}, header, body
	}
}

func batch(newID func() string) (ids []string, header http.Header, body []byte) {
	var events []event.Event
	for range batchSize {
		id := newID()
		ids, events = append(ids, id), append(events, orderEvent(id))
	}
	header, body = harness.Batch(events...)
	return ids, header, body
}

// load is senders in every mode that go on, whatever becomes of the process,
// and never send an event twice.
type load struct {
	ledger *ledger
	// target is the base URL of the process, empty while none is to be used.
	target atomic.Pointer[string]
	client *http.Client
	t      testing.TB
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// startLoad sends to the streams in turn, until stopped or the end of the test.
func startLoad(t testing.TB, l *ledger, streams ...string) *load {
	ctx, stop := context.WithCancel(context.Background())
	s := &load{ledger: l, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}, t: t, stop: stop}
	s.aim("")
	for i, m := range []mode{single(harness.Binary), single(harness.Structured), batch, single(harness.Binary), batch} {
		s.done.Go(func() { s.send(ctx, fmt.Sprintf("s%d", i), m, streams) })
	}
	t.Cleanup(s.end)
	return s
}

// end stops the senders and waits for them.
func (s *load) end() {
	s.stop()
	s.done.Wait()
	s.client.CloseIdleConnections()
}

func (s *load) aim(url string) { s.target.Store(&url) }

func (s *load) send(ctx context.Context, name string, m mode, streams []string) {
	n := 0
	newID := func() string { n++; return fmt.Sprintf("%s-%d", name, n) }
	for i := 0; ctx.Err() == nil; i++ {
		base, stream := *s.target.Load(), streams[i%len(streams)]
		if base == "" || !s.post(ctx, base, stream, m, newID) {
			pause(ctx, 2*time.Millisecond)
		}
	}
}

// post returns false if there was no answer: then nobody can say whether the
// events are stored.
func (s *load) post(ctx context.Context, base, stream string, m mode, newID func() string) bool {
	ids, header, body := m(newID)
	sent := s.ledger.sent(stream, ids...)
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, base+stream, bytes.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return false
	}
	req.Header = header
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		s.ledger.answered(sent)
	}
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusAccepted {
		s.t.Errorf("events were answered %d: %s", resp.StatusCode, text)
	}
	return err == nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
