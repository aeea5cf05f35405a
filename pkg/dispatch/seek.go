package dispatch

import (
	"context"
	"fmt"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Seek moves a route's place in its stream, see engine.Stream. What it skips is
// counted and logged: it settles for the route without having been delivered
// (invariant 5). Attempts under way end as they would.
func (d *Dispatcher) Seek(ctx context.Context, stream routing.StreamName, route string, to engine.Seq) (engine.Sought, error) {
	p := d.pump(routeKey{stream, route})
	if p == nil {
		return engine.Sought{}, fmt.Errorf("%w: %s in %s", ErrNoRoute, route, stream)
	}
	got, err := p.stream.Seek(ctx, route, to)
	if err != nil {
		return got, fmt.Errorf("moving the route %s in %s: %w", route, stream, err)
	}
	p.memory.clear()
	p.counted.skipped.Add(got.Skipped)
	d.logger.Info("An operator has moved a route.", "stream", stream.String(), "route", route,
		"place", got.Place, "skipped", got.Skipped, "again", got.Again)
	return got, nil
}
