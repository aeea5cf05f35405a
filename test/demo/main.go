// Command demo shows the whole way of an event on this machine: it starts Leat
// with the manifests of examples/, sends events in every mode, kills the broker
// in the middle and starts it again, and accounts for every event that was
// acknowledged. It exits with 0 only if none is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	leat := flag.String("leat", "bin/leat", "the leat binary")
	examples := flag.String("examples", "examples", "folder of manifests")
	events := flag.Int("events", 3000, "events to send; a third in each mode")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, 55*time.Second)
	err := run(ctx, *leat, *examples, *events)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, leat, examples string, events int) error {
	dir, err := os.MkdirTemp("", "leat-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	world, err := startSubscribers()
	if err != nil {
		return err
	}
	defer world.close()
	if err := copyManifests(examples, filepath.Join(dir, "manifests"), world.ports()); err != nil {
		return err
	}
	b := &broker{bin: leat, dir: dir}
	if err := b.start(ctx); err != nil {
		return err
	}
	defer b.kill()
	say("Leat runs as process %d and keeps its events in %s.", b.pid(), filepath.Join(dir, "data"))
	say("It serves the Broker default/orders with the Triggers shipping, billing (whose subscriber always fails),")
	say("pricing (whose subscriber replies) and priced, and the Channel default/priced.\n")

	acked, err := sendWithCrash(ctx, b, events)
	if err != nil {
		return err
	}
	say("\nWaiting until everything has arrived ...")
	missing := world.await(ctx, acked)
	world.print(acked)
	if err := b.stop(ctx); err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%d deliveries are missing; the last lines of the broker's log:\n%s", missing, b.tail())
	}
	say("\nEvery one of the %d acknowledged events was delivered or dead-lettered, on every route. None was lost.", len(acked))
	return nil
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
