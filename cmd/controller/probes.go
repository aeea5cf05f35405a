package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/injection/sharedmain"
)

// portEnv names the variable with the port on which probes are answered, where
// sharedmain's 8080 is taken.
const portEnv = "HEALTH_PORT"

// probes answers Kubernetes' probes on the port that the environment names.
// Without one sharedmain answers them.
func probes(ctx context.Context, group *errgroup.Group) context.Context {
	text, ok := os.LookupEnv(portEnv)
	if !ok {
		return ctx
	}
	group.Go(func() error {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return fmt.Errorf("%s is %q, but must be a port", portEnv, text)
		}
		return injection.ServeHealthProbes(ctx, int(port))
	})
	return sharedmain.WithHealthProbesDisabled(ctx)
}
