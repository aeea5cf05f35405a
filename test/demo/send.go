package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	senders   = 8
	batchSize = 20
)

// request is one POST with the ids of the events in it.
type request struct {
	ids         []string
	contentType string
	headers     map[string]string
	body        string
}

// requests are the events of the demo: a third of them in each mode.
func requests(events int) (all []request) {
	n := 0
	id := func() string { n++; return fmt.Sprintf("order-%d", n) }
	for range events / 3 {
		b, s := id(), id()
		all = append(all,
			request{ids: []string{b}, contentType: "application/json", body: data(b), headers: map[string]string{
				"Ce-Specversion": "1.0", "Ce-Id": b, "Ce-Source": "/shop", "Ce-Type": "dev.example.order.placed", "Ce-Partitionkey": key(b),
			}},
			request{ids: []string{s}, contentType: "application/cloudevents+json", body: structured(s)})
	}
	for left := events / 3; left > 0; left -= batchSize {
		var ids, bodies []string
		for range min(batchSize, left) {
			b := id()
			ids, bodies = append(ids, b), append(bodies, structured(b))
		}
		all = append(all, request{ids: ids, contentType: "application/cloudevents-batch+json", body: "[" + strings.Join(bodies, ",") + "]"})
	}
	// One after the other would send all batches last.
	for i := range all {
		j := i * 7919 % len(all)
		all[i], all[j] = all[j], all[i]
	}
	return all
}

func key(id string) string  { return "customer-" + id[len(id)-1:] }
func data(id string) string { return fmt.Sprintf(`{"order":%q,"item":"bread","count":2}`, id) }

func structured(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/shop","type":"dev.example.order.placed",`+
		`"partitionkey":%q,"datacontenttype":"application/json","data":%s}`, id, key(id), data(id))
}

// sendWithCrash sends all events and kills the broker half way. It returns the
// ids that were acknowledged: all of them, since a sender without an answer
// sends again.
func sendWithCrash(ctx context.Context, b *broker, events int) (map[string]bool, error) {
	all := requests(events)
	say("Sending %d events from %d senders, a third each in binary, structured and batched mode ...", events, senders)
	var next, answered, again atomic.Int64
	half := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]bool{}
	for range senders {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(all) {
					return
				}
				if !postUntilAcked(ctx, b.url+"/default/orders", all[i], &again) {
					return
				}
				mu.Lock()
				for _, id := range all[i].ids {
					acked[id] = true
				}
				mu.Unlock()
				if answered.Add(1) == int64(len(all)/2) {
					close(half)
				}
			}
		})
	}
	err := crash(ctx, b, half, &answered, len(all))
	wg.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	say("All %d events are acknowledged. While the broker was down, senders sent again %d times.", len(acked), again.Load())
	return acked, nil
}

func crash(ctx context.Context, b *broker, half <-chan struct{}, answered *atomic.Int64, all int) error {
	select {
	case <-half:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	old := b.pid()
	b.kill()
	say("  SIGKILL to process %d, after %d of %d requests were acknowledged.", old, answered.Load(), all)
	start := time.Now()
	if err := b.start(ctx); err != nil {
		return err
	}
	say("  Process %d took over the same folder and was ready after %d ms.", b.pid(), time.Since(start).Milliseconds())
	return nil
}

// postUntilAcked sends the request until it gets a 2xx.
func postUntilAcked(ctx context.Context, url string, r request, again *atomic.Int64) bool {
	for {
		err := post(ctx, url, r)
		if err == nil {
			return true
		}
		again.Add(1)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func post(ctx context.Context, url string, r request) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(r.body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", r.contentType)
	for name, value := range r.headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", res.Status, text)
	}
	return nil
}
