package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// lostTime is how long no delivery may come before those that are missing count
// as lost.
const lostTime = 30 * time.Second

// drive sends a variant's events and waits until each has come on every route
// that gets it.
func (b *bench) drive(ctx context.Context, v variant, from *senders, deliver int) (got sample, err error) {
	p := plan{events: v.events, most: v.most}
	if v.share > 0 {
		p.rate = v.share * b.lowest(v.sharesOf)
		p.events = min(p.events, int(p.rate*v.most.Seconds()))
	}
	start := time.Now()
	count := newTally(v.events, deliver)
	if v.failOnce {
		count.failing()
	}
	if v.share > 0 {
		count.timing(func(id int) time.Time { return start.Add(p.offset(id)) })
	}
	how := conduct{tally: count, work: v.work}
	if v.backlog {
		how.released = new(atomic.Bool)
	}
	b.sub.conduct.Store(&how)

	if got.Sent, err = from.send(ctx, p, start); err != nil {
		return got, err
	}
	answered := time.Now()
	if v.backlog {
		start = time.Now()
		how.released.Store(true)
	}
	if err := b.await(ctx, count, int64(got.Sent*deliver)); err != nil {
		return got, err
	}
	end := answered
	if last := time.Unix(0, count.last.Load()); deliver > 0 && (last.After(end) || v.backlog) {
		end = last
	}
	if err := sleep(ctx, tail); err != nil {
		return got, err
	}
	got.Seconds = end.Sub(start).Seconds()
	got.Rate = float64(got.Sent) / got.Seconds
	got.Deliveries = got.Rate * float64(deliver)
	got.Bytes = got.Rate * float64(v.size)
	if v.share > 0 {
		got.P50 = millis(percentile(asInts(count.latency[:got.Sent]), 50))
		got.P99 = millis(percentile(asInts(count.latency[:got.Sent]), 99))
	}
	return got, errors.Join(count.check(got.Sent), b.sub.err())
}

// await waits until so many deliveries have come.
func (b *bench) await(ctx context.Context, count *tally, want int64) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	seen, since := int64(-1), time.Now()
	for {
		n := count.distinct.Load()
		switch {
		case n >= want:
			return nil
		case n > seen:
			seen, since = n, time.Now()
		case time.Since(since) > lostTime:
			return fmt.Errorf("%d deliveries of %d, and none for %v: events were lost", n, want, lostTime)
		}
		if err := b.sub.err(); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lowest is the lowest of the medians of the variants' rates.
func (b *bench) lowest(names []string) float64 {
	low := 0.0
	for _, name := range names {
		var rates []float64
		for _, s := range b.samples[name] {
			rates = append(rates, s.Rate)
		}
		if m := median(rates); low == 0 || m < low {
			low = m
		}
	}
	return low
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func millis(nanos int64) float64 { return float64(nanos) / float64(time.Millisecond) }

func asInts(ds []time.Duration) []int64 {
	ints := make([]int64, len(ds))
	for i, d := range ds {
		ints[i] = int64(d)
	}
	return ints
}
