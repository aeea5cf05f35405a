package kube

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"leat.dev/leat/pkg/kube/mirror"
	"leat.dev/leat/pkg/kube/settings"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/kubesource"
	"leat.dev/leat/pkg/server"
)

// softMemory is what Go's heap tries to stay below if GOMEMLIMIT does not tell,
// as config/ does.
const softMemory = 768 << 20

// Requests to the API server per second, and at once. Nine watches that begin
// again together are the most that there is to do.
const (
	apiQPS   = 20
	apiBurst = 40
)

// run serves until ctx ends.
func run(ctx context.Context, o options, log *slog.Logger, level *slog.LevelVar) error {
	defer server.TuneGC(softMemory)()
	api, err := connect(o)
	if err != nil {
		return err
	}
	defer api.HTTP.CloseIdleConnections()
	clients, err := kubesource.NewClients(api)
	if err != nil {
		return err
	}
	configMaps, err := mirror.NewClient(api, mirror.Resource[*corev1.ConfigMap, *corev1.ConfigMapList]{
		Group: corev1.SchemeGroupVersion, Name: "configmaps", Namespace: o.namespace,
		New:     func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		NewList: func() *corev1.ConfigMapList { return &corev1.ConfigMapList{} },
	})
	if err != nil {
		return err
	}
	source, err := kubesource.New(kubesource.Options{
		Clients: clients, BaseURL: o.baseURL(), ClusterDomain: o.domain, Log: log,
	})
	if err != nil {
		return fmt.Errorf("the address of Brokers, made of SYSTEM_NAMESPACE and the cluster's domain: %w", err)
	}
	watcher := settings.NewWatcher(settings.Options{Client: configMaps, Names: o.names, Log: log})

	watching, stop := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	first := make(chan settings.Settings, 1)
	following.Go(func() {
		watcher.Run(watching, func(s settings.Settings, problems []routing.Problem) {
			level.Set(s.LogLevel)
			source.Set(kubesource.Live{CrossNamespace: s.CrossNamespace, Problems: problems})
			select {
			case first <- s:
			default: // it was told before; the rest takes a restart
			}
		})
	})
	s, err := awaitSettings(ctx, o, log, first)
	if err != nil || ctx.Err() != nil {
		return err
	}
	return server.Run(ctx, serverOptions(o, s, source, log))
}

// connect finds the API server.
func connect(o options) (mirror.API, error) {
	config, err := rest.InClusterConfig()
	if o.kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	}
	if err != nil {
		return mirror.API{}, fmt.Errorf("no way to the API server: %w; outside of a cluster, name a file with --kubeconfig", err)
	}
	config.QPS, config.Burst = apiQPS, apiBurst
	config.UserAgent = settings.Component + "/" + o.version
	return mirror.NewAPI(config)
}

func serverOptions(o options, s settings.Settings, source routing.Source, log *slog.Logger) server.Options {
	return server.Options{
		Version: o.version, Logger: log,
		Data: o.data, Listen: o.listen, Status: o.status, Admin: o.admin, BaseURL: o.baseURL(),
		MaxEventBytes: s.MaxEventBytes, MaxDiskBytes: s.MaxDiskBytes, MinFreeBytes: s.MinFreeBytes,
		Grace: s.Grace, DrainDelay: s.DrainDelay, DeliveryTimeout: s.DeliveryTimeout,
		NoMetrics: !s.Metrics, Profiling: s.Profiling,
		Source: func(string) (routing.Source, error) { return source, nil },
		Fatal: func(msg string) {
			log.Error("the dispatcher must stop: " + msg)
			os.Exit(1)
		},
	}
}
