package reconcilertest

import (
	"slices"
	"testing"
	"time"

	"knative.dev/pkg/controller"
)

// Queued takes n keys from a controller's queue and returns them in order. It
// fails if there are fewer, or any more.
func Queued(t *testing.T, impl *controller.Impl, n int) []string {
	t.Helper()
	keys := make(chan string)
	go func() {
		for range n {
			key, shutdown := impl.WorkQueue().Get()
			if shutdown {
				return
			}
			impl.WorkQueue().Done(key)
			keys <- key.(interface{ String() string }).String()
		}
		close(keys)
	}()
	var got []string
	deadline := time.After(10 * time.Second)
	for {
		select {
		case key, more := <-keys:
			if !more {
				if rest := impl.WorkQueue().Len(); rest > 0 {
					t.Errorf("after %q there are %d more keys in the queue", got, rest)
				}
				slices.Sort(got)
				return got
			}
			got = append(got, key)
		case <-deadline:
			impl.WorkQueue().ShutDown()
			t.Fatalf("only %q came, want %d keys", got, n)
		}
	}
}

// Eventually waits until something that a goroutine does is done.
func Eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in ten seconds it has not come true that %s", what)
		}
	}
}
