package server

import (
	"context"
	"time"

	"leat.dev/leat/pkg/routing"
)

// What an apply could not do is tried again after these times, unless the next
// table comes sooner.
const (
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// publish takes a table from the source. Only the newest matters: one that was
// not applied yet is forgotten. It is called by one goroutine at a time.
func (p *plane) publish(t *routing.Table) {
	select {
	case <-p.tables:
	default:
	}
	p.tables <- t
}

// routeRetired says that deliveries of a route that is gone have ended.
func (p *plane) routeRetired() {
	select {
	case p.retired <- struct{}{}:
	default: // it is said already
	}
}

// follow applies the tables that the source publishes until ctx ends.
func (p *plane) follow(ctx context.Context) {
	var table *routing.Table
	var left leftover
	after := firstRetry
	retry := time.NewTimer(0)
	defer retry.Stop()
	retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case table = <-p.tables:
		case <-p.retired:
			if !left.removals {
				continue
			}
		case <-retry.C:
			after = min(2*after, maxRetry)
		}
		left = p.apply(ctx, table)
		retry.Stop()
		if left.failures {
			retry.Reset(after)
		} else {
			after = firstRetry
		}
	}
}
