// Command leat keeps CloudEvents in a log of its own and delivers them: a
// Knative Broker and Channel in one binary.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"leat.dev/leat/pkg/cli"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, version, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
