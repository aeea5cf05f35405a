package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// result is one case: Leat's figure and the baseline's, medians of the rounds.
type result struct {
	Case        string    `json:"case"`
	Unit        string    `json:"unit"`
	Leat        float64   `json:"leat"`
	Baseline    float64   `json:"baseline"`
	Against     string    `json:"against"`
	Ratio       float64   `json:"ratio"` // median of the rounds' ratios
	LeatRounds  []float64 `json:"leatRounds"`
	BaseRounds  []float64 `json:"baselineRounds"`
	CPUPerEvent float64   `json:"leatCpuMicrosPerEvent"`
	BaseCPU     float64   `json:"baselineCpuMicrosPerEvent"`
	Duplicates  int       `json:"duplicates"`
}

// sample is one measurement: events per second, and processor time per event of
// the server.
type sample struct {
	rate       float64
	cpu        time.Duration
	duplicates int
}

type bench struct {
	settings
	load *load
	sub  *subscriber
}

// aCase compares two ways of moving the same events.
type aCase struct {
	name, against  string
	leat, baseline func(context.Context) (sample, error)
}

func measureAll(ctx context.Context, s settings) ([]result, error) {
	sub, err := startSubscriber()
	if err != nil {
		return nil, err
	}
	defer sub.server.Close()
	b := &bench{s, newLoad(s), sub}
	cases := []aCase{
		{"ingest", "bare net/http 202", b.leatIngest, b.bareIngest},
		{"end to end, 1 Trigger", "httputil.ReverseProxy", func(ctx context.Context) (sample, error) { return b.leatEndToEnd(ctx, 1) }, b.proxyEndToEnd},
		{"deliveries, 2 Triggers", "httputil.ReverseProxy", func(ctx context.Context) (sample, error) { return b.leatEndToEnd(ctx, 2) }, b.proxyEndToEnd},
	}
	var results []result
	for _, c := range cases {
		if s.only != "" && s.only != c.name {
			continue
		}
		r, err := b.compare(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func (b *bench) compare(ctx context.Context, c aCase) (result, error) {
	r := result{Case: c.name, Unit: "events/s", Against: c.against}
	var ratios, leatCPU, baseCPU []float64
	for i := range b.rounds {
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", c.name, i+1, b.rounds)
		base, err := c.baseline(ctx)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.against, err)
		}
		leat, err := c.leat(ctx)
		if err != nil {
			return r, fmt.Errorf("leat: %w", err)
		}
		r.BaseRounds, r.LeatRounds = append(r.BaseRounds, base.rate), append(r.LeatRounds, leat.rate)
		ratios = append(ratios, leat.rate/base.rate)
		leatCPU = append(leatCPU, float64(leat.cpu.Microseconds()))
		baseCPU = append(baseCPU, float64(base.cpu.Microseconds()))
		r.Duplicates += leat.duplicates
	}
	r.Leat, r.Baseline, r.Ratio = median(r.LeatRounds), median(r.BaseRounds), median(ratios)
	r.CPUPerEvent, r.BaseCPU = median(leatCPU), median(baseCPU)
	return r, nil
}

func (b *bench) bareIngest(ctx context.Context) (sample, error) {
	p, err := startRole("bare", "")
	if err != nil {
		return sample{}, err
	}
	s, err := b.timed(ctx, p, p.url, nil)
	return s, errors.Join(err, p.stop())
}

func (b *bench) leatIngest(ctx context.Context) (sample, error) { return b.leatRun(ctx, 0) }

func (b *bench) leatEndToEnd(ctx context.Context, triggers int) (sample, error) {
	return b.leatRun(ctx, triggers)
}

func (b *bench) proxyEndToEnd(ctx context.Context) (sample, error) {
	p, err := startRole("proxy", b.sub.url)
	if err != nil {
		return sample{}, err
	}
	s, err := b.timed(ctx, p, p.url+"/t0", b.sub.expect(b.events, "/t0"))
	return s, errors.Join(err, p.stop())
}

func (b *bench) leatRun(ctx context.Context, triggers int) (sample, error) {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	var paths []string
	manifests := "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: bench\n"
	for i := range triggers {
		path := fmt.Sprintf("/t%d", i)
		paths = append(paths, path)
		manifests += fmt.Sprintf("---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: t%d\nspec:\n"+
			"  broker: bench\n  filter:\n    attributes:\n      type: dev.leat.bench\n  subscriber:\n    uri: %s%s\n", i, b.sub.url, path)
	}
	p, err := startLeat(b.leat, dir, manifests)
	if err != nil {
		return sample{}, err
	}
	var delivered <-chan struct{}
	if triggers > 0 {
		delivered = b.sub.expect(b.events, paths...)
	}
	s, err := b.timed(ctx, p, p.url+"/default/bench", delivered)
	if triggers > 1 {
		s.rate *= float64(triggers)
	}
	if triggers > 0 {
		s.duplicates = b.sub.duplicates()
	}
	return s, errors.Join(err, p.stop())
}

// timed sends the events and waits until all are delivered, if delivered is not
// nil.
func (b *bench) timed(ctx context.Context, p *process, url string, delivered <-chan struct{}) (sample, error) {
	before, start := p.cpu(), time.Now()
	if _, err := b.load.send(ctx, url); err != nil {
		return sample{}, err
	}
	if delivered != nil {
		select {
		case <-delivered:
		case <-ctx.Done():
			return sample{}, context.Cause(ctx)
		case <-time.After(2 * time.Minute):
			return sample{}, fmt.Errorf("not all of %d events were delivered within 2 minutes of the last 202", b.events)
		}
	}
	took := time.Since(start)
	return sample{rate: float64(b.events) / took.Seconds(), cpu: (p.cpu() - before) / time.Duration(b.events)}, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func report(w io.Writer, s settings, results []result) {
	fmt.Fprintf(w, "\n%d events of %d bytes, %d senders, medians of %d rounds; every 202 of Leat is fsynced\n\n",
		s.events, s.size, s.senders, s.rounds)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "case\tLeat /s\tbaseline /s\tratio\tCPU us/event\tbaseline\tduplicates\tagainst")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.1f\t%.1f\t%d\t%s\n",
			r.Case, r.Leat, r.Baseline, r.Ratio, r.CPUPerEvent, r.BaseCPU, r.Duplicates, r.Against)
	}
	_ = t.Flush()
}
