package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	count := newTally(4, 2).failing()
	for _, c := range []struct{ route, id, want int }{
		{0, 0, 503}, {0, 0, 202}, {0, 1, 202}, // every second event fails once,
		{1, 0, 503}, {1, 0, 202}, {1, 1, 202}, // on each route
	} {
		if got := count.arrive(c.route, c.id); got != c.want {
			t.Errorf("route %d, id %d: got %d, want %d", c.route, c.id, got, c.want)
		}
	}
	if err := count.check(2); err != nil {
		t.Error(err)
	}
	if err := count.check(3); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("a lost event was not seen: %v", err)
	}
	count.arrive(0, 1)
	if err := count.check(2); err == nil || !strings.Contains(err.Error(), "again") {
		t.Errorf("a duplicate was not seen: %v", err)
	}
	count = newTally(1, 1)
	count.arrive(0, 0)
	count.arrive(1, 0)
	if err := count.check(1); err == nil || !strings.Contains(err.Error(), "nobody sent") {
		t.Errorf("a delivery on a route that does not match was not seen: %v", err)
	}
}

// play sends the plan straight to a subscriber of this conduct.
func play(t *testing.T, p plan, size int, how conduct) (sent int, took time.Duration) {
	t.Helper()
	sub, err := startSubscriber()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sub.close(); err != nil {
			t.Error(err)
		}
	}()
	sub.conduct.Store(&how)
	from, err := newSenders(sub.url, 8, 1, func(int) *request { return newRequest("h", routePath(0), size, 1, "") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	start := time.Now()
	if sent, err = from.send(ctx, p, start); err != nil {
		t.Fatal(err)
	}
	took = time.Since(start)
	if err := from.close(); err != nil {
		t.Error(err)
	}
	return sent, took
}

func TestSendersReachSubscriber(t *testing.T) {
	for _, size := range []int{2, 1024, 2 << 20} { // the last one takes many writes
		count := newTally(200, 1)
		sent, _ := play(t, plan{events: 200}, size, conduct{tally: count})
		if err := count.check(sent); err != nil || sent != 200 {
			t.Errorf("%d bytes: %d sent: %v", size, sent, err)
		}
	}
}

func TestSendersKeepTheRate(t *testing.T) {
	count := newTally(100, 1)
	p := plan{events: 100, rate: 1000}
	start := time.Now()
	count.timing(func(id int) time.Time { return start.Add(p.offset(id)) })
	sent, took := play(t, p, 100, conduct{tally: count})
	if err := count.check(sent); err != nil || sent != 100 {
		t.Errorf("%d sent: %v", sent, err)
	}
	if took < 99*time.Millisecond {
		t.Errorf("100 events at 1,000 a second took only %v", took)
	}
	for id, late := range count.latency {
		if late <= 0 {
			t.Errorf("event %d arrived %v after it was due", id, late)
		}
	}
}

func TestSendersStopInTime(t *testing.T) {
	count := newTally(10_000_000, 1)
	sent, took := play(t, plan{events: 10_000_000, most: 50 * time.Millisecond}, 100, conduct{tally: count})
	if err := count.check(sent); err != nil || sent == 0 {
		t.Errorf("%d sent: %v", sent, err)
	}
	if took < 50*time.Millisecond {
		t.Errorf("it ended after %v already", took)
	}
}

func TestSubscriberWorks(t *testing.T) {
	count := newTally(16, 1)
	_, took := play(t, plan{events: 16}, 100, conduct{tally: count, work: 20 * time.Millisecond})
	if took < 40*time.Millisecond {
		t.Errorf("16 events by 8 senders, 20 ms each, took only %v", took)
	}
}

func TestSubscriberHoldsAnswers(t *testing.T) {
	count := newTally(8, 1)
	released := new(atomic.Bool)
	timer := time.AfterFunc(50*time.Millisecond, func() { released.Store(true) })
	defer timer.Stop()
	_, took := play(t, plan{events: 8}, 100, conduct{tally: count, released: released})
	if err := count.check(8); err != nil {
		t.Error(err)
	}
	if took < 50*time.Millisecond {
		t.Errorf("answers came after %v, before they were released", took)
	}
}
