package dispatch

import (
	"sync"
	"sync/atomic"
	"time"
)

// Counters count since the process began to serve the route.
type Counters struct {
	// Filtered events did not match; those that the engine skipped by the
	// filter's interest are not among them.
	Filtered uint64
	// Delivered events were accepted by the subscriber.
	Delivered uint64
	// Retried deliveries failed and were put off.
	Retried uint64
	// DeadLettered events went to the sink or to the route's own dead letters.
	DeadLettered uint64
	// SinkFailed counts failures to put an event there.
	SinkFailed uint64
	// Held counts deliveries put off because our own store had no room.
	Held uint64
	// Replies were handed on.
	Replies uint64
	// Dropped replies had nowhere to go, or no hops left.
	Dropped uint64
	// HopsUsedUp counts events and replies that went round too often.
	HopsUsedUp uint64
	// Skipped events were not settled when an operator moved the route past them.
	Skipped uint64
}

// counters are the live form of Counters.
type counters struct {
	filtered, delivered, retried, deadLettered, sinkFailed, held atomic.Uint64
	replies, dropped, hopsUsedUp, skipped                        atomic.Uint64
}

func (c *counters) read() Counters {
	return Counters{
		Filtered:     c.filtered.Load(),
		Delivered:    c.delivered.Load(),
		Retried:      c.retried.Load(),
		DeadLettered: c.deadLettered.Load(),
		SinkFailed:   c.sinkFailed.Load(),
		Held:         c.held.Load(),
		Replies:      c.replies.Load(),
		Dropped:      c.dropped.Load(),
		HopsUsedUp:   c.hopsUsedUp.Load(),
		Skipped:      c.skipped.Load(),
	}
}

// lastError is the newest error of a route, bounded and without event data.
type lastError struct {
	mu   sync.Mutex
	text string
	at   time.Time
}

func (l *lastError) set(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text, l.at = bounded(text), time.Now()
}

func (l *lastError) get() (string, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text, l.at
}
