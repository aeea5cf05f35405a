package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/filesource"
	"leat.dev/leat/pkg/server"
)

// serveFlags are the settings of leat serve. Sizes are Kubernetes quantities.
type serveFlags struct {
	manifests, data, listen, admin, baseURL string
	maxEvent, maxDisk, minFree              size
	grace, drainDelay, timeout              time.Duration
	logLevel, logFormat                     string
	profiling                               bool
}

func newServe(version string) *cobra.Command {
	f := serveFlags{maxEvent: 10 << 20, minFree: 256 << 20}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run Brokers and Channels from manifests",
		Long: `Run the Brokers, Triggers, Channels and Subscriptions of a folder of YAML
manifests on this machine, until SIGTERM or SIGINT.

Events are accepted at http://LISTEN/{namespace}/{broker} and
http://LISTEN/channels/{namespace}/{channel}. The folder is watched: a change
takes effect within a second.`,
		Example: `  leat serve --manifests ./manifests --data ./data
  LEAT_LISTEN=:9090 leat serve`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := environment(cmd.Flags()); err != nil {
				return err
			}
			if err := f.check(); err != nil {
				return err
			}
			logger, err := newLogger(cmd.ErrOrStderr(), f.logLevel, f.logFormat)
			if err != nil {
				return err
			}
			defer server.TuneGC(softMemory)()
			return server.Run(cmd.Context(), f.options(version, logger))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.manifests, "manifests", "./manifests", "folder of YAML manifests")
	flags.StringVar(&f.data, "data", "./data", "folder that keeps the events")
	flags.StringVar(&f.listen, "listen", ":8080", "address for events")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:8081", "address for health, metrics and the operator API; it has no authentication")
	flags.StringVar(&f.baseURL, "base-url", "", "URL under which others reach --listen, shown as the address of Brokers (default: from --listen)")
	flags.Var(&f.maxEvent, "max-event-size", "largest request body, such as 10Mi")
	flags.Var(&f.maxDisk, "max-disk", "disk space for events; past it new events are refused with 507 (0: no limit of its own)")
	flags.Var(&f.minFree, "min-free-disk", "disk space to leave free; past it new events are refused with 507")
	flags.DurationVar(&f.grace, "grace-period", 30*time.Second, "how long requests and deliveries under way may take at shutdown")
	flags.DurationVar(&f.drainDelay, "drain-delay", 0, "how long to go on serving after readiness is off, for load balancers to notice")
	flags.DurationVar(&f.timeout, "delivery-timeout", 5*time.Minute, "how long one delivery may take where its delivery.timeout says nothing")
	flags.BoolVar(&f.profiling, "profiling", false, "show /debug/pprof on --admin")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "json", "json or text")
	sayEnvironment(flags)
	return cmd
}

// check refuses what a flag's type lets through and makes no sense.
func (f *serveFlags) check() error {
	for name, d := range map[string]time.Duration{
		"grace-period": f.grace, "drain-delay": f.drainDelay, "delivery-timeout": f.timeout,
	} {
		if d < 0 {
			return usageError{fmt.Errorf("--%s %v: must not be negative", name, d)}
		}
	}
	return nil
}

func (f *serveFlags) options(version string, logger *slog.Logger) server.Options {
	return server.Options{
		Version: version, Logger: logger,
		Data: f.data, Listen: f.listen, Admin: f.admin, BaseURL: f.baseURL,
		MaxEventBytes: int64(f.maxEvent), MaxDiskBytes: uint64(f.maxDisk), MinFreeBytes: uint64(f.minFree),
		Grace: f.grace, DrainDelay: f.drainDelay, DeliveryTimeout: f.timeout, Profiling: f.profiling,
		Source: func(baseURL string) (routing.Source, error) {
			return filesource.New(filesource.Options{Dir: f.manifests, BaseURL: baseURL, Log: logger})
		},
		Fatal: func(msg string) {
			logger.Error("leat must stop: " + msg)
			os.Exit(1)
		},
	}
}

// softMemory is what Go's heap tries to stay below; Pebble's memory, at most
// 100 MiB, is outside of it.
const softMemory = 160 << 20

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q: must be debug, info, warn or error", level)}
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	default:
		return nil, usageError{fmt.Errorf("--log-format %q: must be json or text", format)}
	}
}

// size is a flag of bytes, written as a Kubernetes quantity.
type size int64

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Value() < 0 {
		return fmt.Errorf("%q is not a size; write bytes or a quantity such as 10Mi", text)
	}
	*s = size(q.Value())
	return nil
}

// String implements pflag.Value.
func (s *size) String() string { return resource.NewQuantity(int64(*s), resource.BinarySI).String() }

// Type implements pflag.Value.
func (s *size) Type() string { return "size" }
