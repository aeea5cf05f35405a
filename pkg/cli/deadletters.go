package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"leat.dev/leat/pkg/admin"
	"leat.dev/leat/pkg/engine"
)

func newDeadLetters() *cobra.Command {
	o := &operator{}
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Aliases: []string{"deadletters", "dlq"},
		Short:   "Show, re-drive or drop events that could not be delivered",
		Long: `Events that could not be delivered and have no dead letter sink are kept for
their route. Without a command: how many there are of each route.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			stores, err := client.DeadLetterStores(cmd.Context())
			if err != nil {
				return err
			}
			return o.print(cmd, stores, func(w io.Writer) { printStores(w, stores) })
		},
	}
	o.addFlags(cmd)
	cmd.AddCommand(newListDeadLetters(o), newRedrive(o), newDrop(o))
	return cmd
}

func printStores(w io.Writer, stores []admin.DeadLetterStore) {
	fmt.Fprintln(w, "STREAM\tROUTE\tDEAD LETTERS\tOLDEST\tROUTE IS GONE")
	for _, s := range stores {
		fmt.Fprintf(w, "%s/%s/%s\t%s\t%d\t%s\t%t\n", s.Kind, s.Namespace, s.Name, s.Route, s.Count, age(s.Oldest), s.Gone)
	}
}

func newListDeadLetters(o *operator) *cobra.Command {
	var page admin.PageOptions
	var from uint64
	cmd := &cobra.Command{
		Use:   "list STREAM ROUTE",
		Short: "List a route's dead letters, oldest first",
		Args:  exactArgs("STREAM", "ROUTE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, ref, err := o.route(args)
			if err != nil {
				return err
			}
			page.From = engine.Seq(from)
			letters, err := client.DeadLetters(cmd.Context(), ref, args[1], page)
			if err != nil {
				return err
			}
			return o.print(cmd, letters, func(w io.Writer) { printLetters(w, letters, page.Data) })
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "begin with this SEQ")
	cmd.Flags().IntVar(&page.Limit, "limit", 50, "show at most so many")
	cmd.Flags().BoolVar(&page.Data, "data", false, "show the whole events")
	return cmd
}

func printLetters(w io.Writer, p admin.DeadLetterPage, data bool) {
	fmt.Fprintln(w, "SEQ\tAGE\tTYPE\tSOURCE\tID\tCODE\tDESTINATION")
	for _, d := range p.DeadLetters {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Seq, age(&d.Time),
			orDash(d.Type), orDash(d.Source), orDash(d.ID), orDash(d.ErrorCode), orDash(d.ErrorDest+d.Problem))
		if data {
			fmt.Fprintf(w, "%s\n", d.Event)
		}
	}
	if p.Next != 0 {
		fmt.Fprintf(w, "%d in all; go on with --from %d\n", p.Count, p.Next)
	}
}

func newRedrive(o *operator) *cobra.Command {
	var to uint64
	cmd := &cobra.Command{
		Use:   "redrive STREAM ROUTE",
		Short: "Deliver a route's dead letters again, once each, oldest first",
		Args:  exactArgs("STREAM", "ROUTE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, ref, err := o.route(args)
			if err != nil {
				return err
			}
			done, err := client.Redrive(cmd.Context(), ref, args[1], engine.Seq(to))
			if err != nil {
				return err
			}
			return o.print(cmd, done, func(w io.Writer) {
				fmt.Fprintf(w, "delivered %d, failed again and kept %d\n", done.Delivered, done.Failed)
				if done.LastError != "" {
					fmt.Fprintln(w, "last error:", done.LastError)
				}
			})
		},
	}
	cmd.Flags().Uint64Var(&to, "to", 0, "only up to this SEQ (0: all)")
	return cmd
}

func newDrop(o *operator) *cobra.Command {
	var to uint64
	cmd := &cobra.Command{
		Use:   "drop STREAM ROUTE --to SEQ",
		Short: "Drop a route's dead letters for good, up to a seq",
		Args:  exactArgs("STREAM", "ROUTE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == 0 {
				return usageError{errors.New("--to SEQ says up to which dead letter to drop; leat dead-letters list shows them")}
			}
			client, ref, err := o.route(args)
			if err != nil {
				return err
			}
			done, err := client.Drop(cmd.Context(), ref, args[1], engine.Seq(to))
			if err != nil {
				return err
			}
			return o.print(cmd, done, func(w io.Writer) { fmt.Fprintf(w, "dropped %d\n", done.Dropped) })
		},
	}
	cmd.Flags().Uint64Var(&to, "to", 0, "drop up to and with this SEQ")
	return cmd
}

// route makes the client and reads the first argument, a stream.
func (o *operator) route(args []string) (*admin.Client, admin.StreamRef, error) {
	ref, err := streamRef(args[0])
	if err != nil {
		return nil, ref, err
	}
	client, err := o.client()
	return client, ref, err
}
