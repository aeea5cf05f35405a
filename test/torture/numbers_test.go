package torture

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// numbers counts how often each number was seen. Events are numbered, so that
// millions of them take megabytes to account for.
type numbers struct {
	mu       sync.Mutex
	times    []uint8
	distinct int
	total    int
}

func (n *numbers) add(number int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.times) <= number {
		n.times = append(n.times, make([]uint8, 1+len(n.times))...)
	}
	n.total++
	if n.times[number] == 0 {
		n.distinct++
	}
	n.times[number] = min(n.times[number], 254) + 1
}

// count is how many different numbers were seen, and how many in all.
func (n *numbers) count() (distinct, total int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.distinct, n.total
}

func (n *numbers) has(number int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return number < len(n.times) && n.times[number] > 0
}

// missing are those of want that were not seen.
func (n *numbers) missing(want *numbers) (missing []int) {
	want.mu.Lock()
	times := want.times
	want.mu.Unlock()
	for number, wanted := range times {
		if wanted > 0 && !n.has(number) {
			missing = append(missing, number)
		}
	}
	return missing
}

// settled waits until left is 0, and gives up when it does not fall for long.
func settled(t *testing.T, what string, left func() int) {
	t.Helper()
	settledWithin(t, stall, what, left)
}

// settledWithin is settled for what may stand still for a time.
func settledWithin(t *testing.T, stall time.Duration, what string, left func() int) {
	t.Helper()
	for last, since := -1, time.Now(); ; time.Sleep(20 * time.Millisecond) {
		now := left()
		if now == 0 {
			return
		}
		if now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > stall {
			t.Fatalf("%s: %d are left, and nothing moves for %v", what, now, stall)
		}
	}
}

// allSeen waits until got has all of want.
func allSeen(t *testing.T, what string, got, want *numbers) {
	t.Helper()
	allSeenWithin(t, stall, what, got, want)
}

// allSeenWithin is allSeen for events that may wait for a time.
func allSeenWithin(t *testing.T, stall time.Duration, what string, got, want *numbers) {
	t.Helper()
	settledWithin(t, stall, what, func() int {
		distinct, _ := got.count()
		if wanted, _ := want.count(); distinct < wanted {
			return wanted - distinct
		}
		return len(got.missing(want))
	})
}

// stall is how long a test waits while nothing at all moves.
const stall = time.Minute

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }
