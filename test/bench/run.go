package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"
)

// measureAll measures the groups' rows that the pattern matches.
func measureAll(ctx context.Context, s settings, groups []group, only *regexp.Regexp) (r report, err error) {
	if r.Machine, err = describe(s); err != nil {
		return r, err
	}
	sub, err := startSubscriber()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, sub.close()) }()
	b := &bench{settings: s, sub: sub, samples: map[string][]sample{}}
	r.Samples = b.samples
	for _, g := range groups {
		g.rows = slices.DeleteFunc(slices.Clone(g.rows), func(r row) bool { return !only.MatchString(g.name + ": " + r.what) })
		if err := b.runGroup(ctx, g); err != nil {
			return r, fmt.Errorf("%s: %w", g.name, err)
		}
		for _, row := range g.rows {
			r.Results = append(r.Results, row.result(g.name, b.samples))
		}
	}
	return r, nil
}

// runGroup measures what the group's rows need.
func (b *bench) runGroup(ctx context.Context, g group) error {
	rounds := b.rounds
	if g.rounds > 0 {
		rounds = min(rounds, g.rounds)
	}
	for round := range rounds {
		for _, v := range g.needed() {
			began := time.Now()
			got, err := b.measure(ctx, v)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			b.samples[v.name] = append(b.samples[v.name], got)
			fmt.Fprintf(os.Stderr, "%s %d/%d: %s: %s (took %.0f s)\n", g.name, round+1, rounds, v.name, got, time.Since(began).Seconds())
		}
	}
	return nil
}

// String is for the progress.
func (s sample) String() string {
	switch {
	case s.Resident > 0:
		return fmt.Sprintf("%.1f MiB", s.Resident/(1<<20))
	case s.P99 > 0:
		return fmt.Sprintf("%.0f events/s, p50 %.2f ms, p99 %.2f ms", s.Rate, s.P50, s.P99)
	default:
		return fmt.Sprintf("%.0f events/s, %.0f deliveries/s, %.1f µs CPU per event", s.Rate, s.Deliveries, s.CPU)
	}
}
