package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"leat.dev/leat/pkg/admin"
)

// operator is what the commands that ask a running leat have in common.
type operator struct {
	address, output string
	flags           *pflag.FlagSet
}

func (o *operator) addFlags(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	o.flags = flags
	flags.StringVar(&o.address, "admin", "127.0.0.1:8081", "where leat serve has its --admin")
	flags.StringVarP(&o.output, "output", "o", "", "json, or nothing for text")
	sayEnvironment(flags)
}

// client is for the address of the flag or the environment.
func (o *operator) client() (*admin.Client, error) {
	if err := environment(o.flags); err != nil {
		return nil, err
	}
	if o.output != "" && o.output != "json" {
		return nil, usageError{fmt.Errorf("--output %q: must be json, or left out", o.output)}
	}
	return admin.NewClient(o.address)
}

// print writes v as JSON, or as text makes it.
func (o *operator) print(cmd *cobra.Command, v any, text func(io.Writer)) error {
	if o.output == "json" {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 3, ' ', 0)
	text(t)
	return t.Flush()
}

// streamRef reads NAMESPACE/NAME or KIND/NAMESPACE/NAME.
func streamRef(text string) (admin.StreamRef, error) {
	parts := strings.Split(text, "/")
	switch len(parts) {
	case 2:
		return admin.StreamRef{Namespace: parts[0], Name: parts[1]}, nil
	case 3:
		return admin.StreamRef{Kind: parts[0], Namespace: parts[1], Name: parts[2]}, nil
	}
	return admin.StreamRef{}, usageError{fmt.Errorf("%q: a stream is NAMESPACE/NAME, or broker/NAMESPACE/NAME or channel/NAMESPACE/NAME", text)}
}

// exactArgs wants the arguments that the usage line names.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usageError{errors.New("wanted: " + strings.Join(names, " "))}
	}
}

func age(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return time.Since(*t).Round(time.Second).String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
