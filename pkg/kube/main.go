// Package kube runs a data plane in a cluster: the table from the cluster's
// objects, the settings from its ConfigMaps.
package kube

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"k8s.io/klog/v2"
	"knative.dev/pkg/network"

	"leat.dev/leat/pkg/kube/settings"
)

// options are the command line and the environment.
type options struct {
	version string
	stderr  io.Writer

	data, listen, status, admin string
	kubeconfig                  string

	// namespace is where Leat is installed.
	namespace string
	names     settings.Names
	// domain ends the names of the cluster's Services.
	domain string
}

// Main runs a dispatcher until ctx ends. It returns the exit code: 0 after an
// orderly stop, 1 after an error, which is logged to stderr, 2 when the command
// line or the environment is not usable.
func Main(ctx context.Context, version string, args []string, stderr io.Writer) int {
	o, err := parse(version, args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	level := new(slog.LevelVar)
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	if err != nil {
		log.Error("the dispatcher cannot start: " + err.Error())
		return 2
	}
	klog.SetSlogLogger(log.With("logger", "client-go"))
	if err := run(ctx, o, log, level); err != nil {
		log.Error("the dispatcher must stop: " + err.Error())
		return 1
	}
	return 0
}

func parse(version string, args []string, stderr io.Writer) (options, error) {
	o := options{version: version, stderr: stderr}
	flags := flag.NewFlagSet("dispatcher", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.data, "data", "/var/lib/leat", "`folder` that keeps the events")
	flags.StringVar(&o.listen, "listen", ":8080", "`address` for events")
	flags.StringVar(&o.status, "status", ":9090", "`address` for health, metrics and what is served; it only reads")
	flags.StringVar(&o.admin, "admin", "127.0.0.1:8081", "`address` for the operator API; it has no authentication")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` that tells how to reach the API server (default: the pod's ServiceAccount)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	if o.namespace = os.Getenv("SYSTEM_NAMESPACE"); o.namespace == "" {
		return o, errors.New("SYSTEM_NAMESPACE is not set: set it to the namespace that Leat is installed in, as config/ does")
	}
	d := settings.DefaultNames()
	o.names = settings.Names{
		Leat:          cmp.Or(os.Getenv("CONFIG_LEAT_NAME"), d.Leat),
		Logging:       cmp.Or(os.Getenv("CONFIG_LOGGING_NAME"), d.Logging),
		Observability: cmp.Or(os.Getenv("CONFIG_OBSERVABILITY_NAME"), d.Observability),
		Features:      cmp.Or(os.Getenv("CONFIG_FEATURES_NAME"), d.Features),
	}
	// From CLUSTER_DOMAIN, or else from the pod's /etc/resolv.conf.
	o.domain = network.GetClusterDomainName()
	return o, nil
}

// baseURL is the address of all Brokers.
func (o options) baseURL() string {
	return "http://leat-ingress." + o.namespace + ".svc." + o.domain
}
