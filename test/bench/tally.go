package main

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// tally counts the deliveries of one measurement: each event must come once on
// each route. One goroutine calls arrive, others read the counts.
type tally struct {
	events int // ids are below
	routes int
	// failOnce answers 503 to the first delivery of every second event.
	failOnce bool
	// due is when an event was meant to be sent; nil if nobody asks for latency.
	due func(id int) time.Time
	// latency is from due to arrival, by id, on the first route.
	latency []time.Duration

	failed, seen []uint64 // bits by route and id

	distinct, repeated, strange atomic.Int64
	last                        atomic.Int64 // when the newest distinct one came, in Unix nanoseconds
}

func newTally(events, routes int) *tally {
	words := (events*routes + 63) / 64
	return &tally{events: events, routes: routes, seen: make([]uint64, words)}
}

// failing makes every second event fail once.
func (t *tally) failing() *tally {
	t.failOnce, t.failed = true, make([]uint64, len(t.seen))
	return t
}

// timing records latencies.
func (t *tally) timing(due func(id int) time.Time) *tally {
	t.due, t.latency = due, make([]time.Duration, t.events)
	return t
}

// arrive counts a delivery and returns the status of the answer.
func (t *tally) arrive(route, id int) int {
	if id < 0 || id >= t.events || route < 0 || route >= t.routes {
		t.strange.Add(1)
		return 202
	}
	bit := route*t.events + id
	if t.failOnce && id%2 == 0 && !set(t.failed, bit) {
		return 503
	}
	if set(t.seen, bit) {
		t.repeated.Add(1)
		return 202
	}
	now := time.Now()
	if t.due != nil && route == 0 {
		t.latency[id] = now.Sub(t.due(id))
	}
	t.last.Store(now.UnixNano())
	t.distinct.Add(1)
	return 202
}

// set sets a bit and returns what it was.
func set(bits []uint64, i int) bool {
	word, mask := i/64, uint64(1)<<(i%64)
	was := bits[word]&mask != 0
	bits[word] |= mask
	return was
}

// check says what is wrong if so many events were sent and all has come.
func (t *tally) check(sent int) error {
	var errs []error
	if got, want := t.distinct.Load(), int64(sent*t.routes); got != want {
		errs = append(errs, fmt.Errorf("%d deliveries of %d: events were lost", got, want))
	}
	if n := t.repeated.Load(); n > 0 {
		errs = append(errs, fmt.Errorf("%d events were delivered again after they had been taken", n))
	}
	if n := t.strange.Load(); n > 0 {
		errs = append(errs, fmt.Errorf("%d deliveries that nobody sent, or to a route that must not match", n))
	}
	return errors.Join(errs...)
}

// routePath is the path of a route, routeOf its number, -1 for another path.
func routePath(route int) string { return "/t" + strconv.Itoa(route) }

func routeOf(path []byte) int {
	if len(path) < 3 || string(path[:2]) != "/t" {
		return -1
	}
	n, err := number(path[2:])
	if err != nil {
		return -1
	}
	return n
}
