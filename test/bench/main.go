// Command bench measures Leat beside its baselines on this machine, in the same
// run, alternating: a bare net/http server that answers 202, httputil.ReverseProxy
// in front of the same subscriber, and appends straight into Pebble. All servers
// are processes of their own; the senders and the subscriber are this one, and
// the same for all. It prints medians and ratios as a table, and as JSON with
// -json. An event that is lost or comes twice fails the run.
//
// docs/performance.md says how it measures and what came of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"
)

type settings struct {
	leat     string
	dir      string
	events   int
	most     time.Duration
	senders  int
	size     int
	rounds   int
	quick    bool
	json     string
	svg      string
	profiles string
	only     string

	role   string
	target string
}

func main() {
	var s settings
	flag.StringVar(&s.leat, "leat", "bin/leat", "the leat binary")
	flag.StringVar(&s.dir, "dir", "", "folder on the disk to measure (default: a new one in the folder for temporary files)")
	flag.IntVar(&s.events, "events", 200_000, "events of a measurement, at most")
	flag.DurationVar(&s.most, "most", 4*time.Second, "how long a measurement sends, at most")
	flag.IntVar(&s.senders, "senders", 64, "senders at once, where a case does not say")
	flag.IntVar(&s.size, "size", 1024, "bytes of data per event, where a case does not say")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds; medians are reported")
	flag.BoolVar(&s.quick, "quick", false, "a rougher run of about two minutes, of the targets alone")
	flag.StringVar(&s.json, "json", "", "also write the figures to this file")
	flag.StringVar(&s.svg, "svg", "", "also draw the figures into this file")
	flag.StringVar(&s.only, "only", "", "measure only the cases that match this `regexp`")
	flag.StringVar(&s.profiles, "profiles", "", "write CPU profiles of leat, one for each variant, into this folder")
	flag.StringVar(&s.role, "role", "", "internal: be a baseline (bare, proxy, pebble)")
	flag.StringVar(&s.target, "target", "", "internal: where the proxy sends, or where Pebble writes")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if s.role != "" {
		return serveRole(ctx, s)
	}
	only, err := regexp.Compile(s.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "leat-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(s.dir)
	}
	groups := targets(s)
	if s.quick {
		s.rounds, s.most, s.events = min(s.rounds, 2), min(s.most, 1500*time.Millisecond), min(s.events, 50_000)
	} else {
		groups = append(groups, matrix()...)
	}
	r, err := measureAll(ctx, s, groups, only)
	r.print(os.Stdout)
	if err != nil {
		return err
	}
	if s.json != "" {
		if err := r.write(s.json); err != nil {
			return err
		}
	}
	if s.svg != "" {
		return r.plot(s.svg)
	}
	return nil
}
