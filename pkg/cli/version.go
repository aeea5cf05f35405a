package cli

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(version string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := struct {
				Version   string `json:"version"`
				GoVersion string `json:"goVersion"`
				Platform  string `json:"platform"`
			}{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			switch output {
			case "":
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "leat %s (%s, %s)\n", info.Version, info.GoVersion, info.Platform)
				return err
			case "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(info)
			default:
				return usageError{fmt.Errorf("--output %q: must be json, or left out", output)}
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, or nothing for text")
	return cmd
}
