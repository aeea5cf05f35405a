package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"leat.dev/leat/pkg/admin"
)

func newStreams() *cobra.Command {
	o := &operator{}
	cmd := &cobra.Command{
		Use:   "streams [NAMESPACE/NAME]",
		Short: "Show Brokers and channels, or the routes of one",
		Long: `Show the Brokers and channels of a running leat with their lag and dead letters,
or the Triggers and Subscriptions of one of them.`,
		Example: `  leat streams
  leat streams default/orders
  leat streams channel/default/priced -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				streams, err := client.Streams(cmd.Context())
				if err != nil {
					return err
				}
				return o.print(cmd, streams, func(w io.Writer) { printStreams(w, streams) })
			}
			ref, err := streamRef(args[0])
			if err != nil {
				return err
			}
			stream, err := client.Stream(cmd.Context(), ref)
			if err != nil {
				return err
			}
			return o.print(cmd, stream, func(w io.Writer) { printRoutes(w, stream.Routes) })
		},
	}
	o.addFlags(cmd)
	cmd.AddCommand(newRemoveStream(o))
	return cmd
}

func newRemoveStream(o *operator) *cobra.Command {
	return &cobra.Command{
		Use:   "remove KIND/NAMESPACE/NAME",
		Short: "Delete a Broker's or channel's events for good, after it is gone from the manifests",
		Args:  exactArgs("KIND/NAMESPACE/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := streamRef(args[0])
			if err != nil {
				return err
			}
			client, err := o.client()
			if err != nil {
				return err
			}
			removed, err := client.RemoveStream(cmd.Context(), ref)
			if err != nil {
				return err
			}
			return o.print(cmd, removed, func(w io.Writer) { fmt.Fprintf(w, "removed, with %d events\n", removed.Records) })
		},
	}
}

func printStreams(w io.Writer, streams []admin.Stream) {
	fmt.Fprintln(w, "KIND\tSTREAM\tROUTES\tRECORDS\tHEAD\tLAG\tOLDEST\tDEAD LETTERS\tNOTE")
	for _, s := range streams {
		note := s.Problem
		if s.Gone {
			note = "gone from the manifests; keeps its events"
		}
		fmt.Fprintf(w, "%s\t%s/%s\t%d\t%d\t%d\t%d\t%s\t%d\t%s\n",
			s.Kind, s.Namespace, s.Name, s.RouteCount, s.Records, s.Head, s.Lag, age(s.Oldest), s.DeadLetters, orDash(note))
	}
}

func printRoutes(w io.Writer, routes []admin.Route) {
	fmt.Fprintln(w, "ROUTE\tLAG\tIN FLIGHT\tPARKED\tOLDEST\tDELIVERED\tRETRIED\tDEAD LETTERS\tLAST ERROR")
	for _, r := range routes {
		problem := r.LastError
		if r.Problem != "" {
			problem = r.Problem
		}
		fmt.Fprintf(w, "%s %s/%s\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%s\n", r.Kind, r.Namespace, r.Name,
			r.Lag, r.InFlight, r.Parked, age(r.Oldest), r.Counters.Delivered, r.Counters.Retried, r.DeadLetters, orDash(problem))
	}
}
