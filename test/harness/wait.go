package harness

import (
	"testing"
	"time"
)

// tick is how often a state is looked at that cannot tell of its changes.
const tick = 10 * time.Millisecond

// Eventually waits until ok says yes, and fails the test if that takes longer
// than anything healthy does.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
