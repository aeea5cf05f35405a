// Command bench measures Leat beside its baselines on this machine, in the same
// run, alternating: a bare net/http server that answers 202 (ingest) and
// httputil.ReverseProxy in front of the same subscriber (end to end). All
// servers are processes of their own; the senders and the subscriber are this
// one. It prints medians and ratios as a table, and as JSON with -json.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

type settings struct {
	leat    string
	events  int
	senders int
	size    int
	rounds  int
	json    string
	role    string
	target  string
	only    string
}

func main() {
	var s settings
	flag.StringVar(&s.leat, "leat", "bin/leat", "the leat binary")
	flag.IntVar(&s.events, "events", 100_000, "events per measurement")
	flag.IntVar(&s.senders, "senders", 64, "senders at once")
	flag.IntVar(&s.size, "size", 1024, "bytes of data per event")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds; medians are reported")
	flag.StringVar(&s.json, "json", "", "also write the figures to this file")
	flag.StringVar(&s.only, "only", "", "measure only this case")
	flag.StringVar(&s.role, "role", "", "internal: be a baseline server (bare, proxy)")
	flag.StringVar(&s.target, "target", "", "internal: where the proxy sends")
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
		return serveRole(ctx, s.role, s.target)
	}
	results, err := measureAll(ctx, s)
	if err != nil {
		return err
	}
	report(os.Stdout, s, results)
	if s.json == "" {
		return nil
	}
	out, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.json, append(out, '\n'), 0o644)
}
