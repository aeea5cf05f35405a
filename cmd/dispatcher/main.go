// Command dispatcher is Leat's data plane in a cluster: it takes the events of
// all Brokers and channels, keeps them and delivers them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"leat.dev/leat/pkg/kube"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := kube.Main(ctx, version, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
