package kube

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Times that no healthy run comes near; they end one that hangs.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 45 * time.Second
	// patience is for what must come, on two cores that others use as well.
	patience = 60 * time.Second
	// tick is how often a state is looked at.
	tick = 50 * time.Millisecond
)

// final is an error that no later look makes good.
type final struct{ error }

func stopPolling(err error) error { return final{err} }

// poll calls ok until it returns nil, and returns its last error if it does not
// within the time.
func poll(ctx context.Context, within time.Duration, ok func(context.Context) error) error {
	deadline := time.After(within)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		err := ok(ctx)
		var end final
		if err == nil {
			return nil
		} else if errors.As(err, &end) {
			return end.error
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return fmt.Errorf("not within %v: %w", within, err)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// eventually fails the test unless ok returns nil before long.
func eventually(t testing.TB, ok func() error) {
	t.Helper()
	within(t, patience, ok)
}

// within fails the test unless ok returns nil within the time.
func within(t testing.TB, limit time.Duration, ok func() error) {
	t.Helper()
	if err := poll(t.Context(), limit, func(context.Context) error { return ok() }); err != nil {
		t.Fatal(err)
	}
}
