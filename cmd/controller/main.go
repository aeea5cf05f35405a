// Command controller runs Leat's controllers of Brokers, Triggers and channels
// in a cluster.
package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
	"knative.dev/pkg/injection/sharedmain"
	"knative.dev/pkg/signals"

	"leat.dev/leat/pkg/reconciler/broker"
	"leat.dev/leat/pkg/reconciler/channel"
	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/reconciler/trigger"
)

// environment is what sharedmain reads and what holds where it is not set: its
// own defaults take minutes for a thousand Triggers.
var environment = map[string]string{
	"KUBE_API_QPS":             "200",
	"KUBE_API_BURST":           "400",
	"K_THREADS_PER_CONTROLLER": "8",
}

func main() {
	for name, value := range environment {
		if _, ok := os.LookupEnv(name); !ok {
			_ = os.Setenv(name, value) // fails for malformed names only
		}
	}
	ctx, cancel := context.WithCancel(signals.NewContext())
	group, ctx := errgroup.WithContext(ctx)
	ctx = probes(ctx, group)
	plane := new(dataplane.Watch)
	sharedmain.MainWithContext(ctx, "leat-controller",
		broker.NewController(plane),
		trigger.NewController(plane),
		channel.NewController(plane),
	)
	cancel()
	plane.Wait()
	if err := group.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "probes cannot be answered:", err)
		os.Exit(1)
	}
}
