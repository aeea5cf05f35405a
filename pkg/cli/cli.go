// Package cli is the commands of leat, one file each.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Main runs the command line args and returns the exit code: 0 when all went
// well, 1 after an error, which is printed to stderr, 2 when the command line
// was not understood.
func Main(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	root := newRoot(version)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "Error:", err)
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		fmt.Fprintln(stderr, "See 'leat --help'.")
		return 2
	}
	return 1
}

func newRoot(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "leat",
		Short: "A Knative Broker and Channel that keeps every event",
		Long: `Leat takes CloudEvents over HTTP, has them on disk before it answers 202, and
delivers them to Triggers and Subscriptions with retries, replies and dead
letters. It needs nothing else: no Kafka, no RabbitMQ, no Kubernetes.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServe(version), newVersion(version), newStreams(), newRoutes(), newDeadLetters())
	return root
}

// usageError is a command line that was not understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// noArgs refuses arguments as a mistake in the command line.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}

// environment sets each flag that was not given from LEAT_<FLAG>, if that is
// set: --max-event-size from LEAT_MAX_EVENT_SIZE.
func environment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return usageError{err}
	}
	return nil
}

func envName(flag string) string {
	return "LEAT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// sayEnvironment adds the variable's name to each flag's help.
func sayEnvironment(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) { f.Usage += " [" + envName(f.Name) + "]" })
}
