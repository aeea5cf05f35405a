package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"leat.dev/leat/pkg/admin"
)

func newRoutes() *cobra.Command {
	o := &operator{}
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "Move a Trigger or Subscription to other events",
		Long: `Move a Trigger or Subscription of a running leat in its stream of events;
leat streams NAMESPACE/NAME shows them.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.addFlags(cmd)
	cmd.AddCommand(newSeek(o))
	return cmd
}

func newSeek(o *operator) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "seek STREAM ROUTE --to earliest|latest|SEQ|TIME",
		Short: "Deliver events again, or skip them",
		Long: `Move a route in its stream. All events before the place count as settled and do
not come any more, also those that wait for a retry; all from there on come as
for the first time. Deliveries under way end as they would; their events come
again after that.

Only events that are kept can be delivered again: those that some route has not
settled, and younger ones than the leat.dev/retention of the Broker or channel.`,
		Example: `  leat routes seek default/orders billing --to 2026-05-01T12:00:00Z
  leat routes seek default/orders billing --to earliest
  leat routes seek default/orders billing --to latest`,
		Args: exactArgs("STREAM", "ROUTE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usageError{errors.New("--to says where to: earliest, latest, a SEQ, or a time such as 2026-05-01T12:00:00Z")}
			}
			client, ref, err := o.route(args)
			if err != nil {
				return err
			}
			got, err := client.Seek(cmd.Context(), ref, args[1], to)
			if err != nil {
				return err
			}
			return o.print(cmd, got, func(w io.Writer) { printSought(w, got) })
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "earliest, latest, a SEQ, or the first event of a time (RFC 3339) or later")
	return cmd
}

func printSought(w io.Writer, s admin.Sought) {
	next := "is still to come"
	if s.PlaceTime != nil {
		next = "came in at " + s.PlaceTime.Format(time.RFC3339Nano)
	}
	fmt.Fprintf(w, "the next event is %d, which %s; skipped %d, %d come again\n", s.Place, next, s.Skipped, s.Again)
}
