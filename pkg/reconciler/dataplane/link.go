// Package dataplane is what the controllers share: their link to the data
// plane, and how an object's status tells what the data plane said.
package dataplane

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/network"
	"knative.dev/pkg/system"

	"leat.dev/leat/pkg/served"
)

// StatusURLEnv names the environment variable with the URL at which the data
// plane tells what it serves.
const StatusURLEnv = "LEAT_STATUS_URL"

// Names of Services in the system namespace.
const (
	ingressService    = "leat-ingress"
	dispatcherService = "leat-dispatcher"
)

// Link is how a controller learns what the data plane serves.
type Link interface {
	// Join returns whom to ask, and calls changed from now on after every
	// change of what the data plane says. changed must not block; it is called
	// by one goroutine.
	Join(ctx context.Context, changed func(served.Change)) served.Asker
}

// Watch is the Link of a process: one watcher of the data plane for all of its
// controllers. The zero value asks at the URL that the environment names.
type Watch struct {
	mu        sync.Mutex
	listeners []func(served.Change)
	watcher   *served.Watcher
	running   sync.WaitGroup
}

// Join implements Link. The first call starts to watch until its ctx ends, and
// logs with the logger of that ctx.
func (w *Watch) Join(ctx context.Context, changed func(served.Change)) served.Asker {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners = append(w.listeners, changed)
	if w.watcher == nil {
		log := logging.FromContext(ctx).Named("dataplane")
		w.watcher = served.NewWatcher(served.WatcherOptions{
			URL: statusURL(), Changed: w.changed, Logger: slog.New(logr.ToSlogHandler(zapr.NewLogger(log.Desugar()))),
		})
		w.running.Go(func() {
			if err := w.watcher.Run(ctx); err != nil {
				log.Errorw("The data plane is not watched any more; no Trigger or subscriber turns ready", zap.Error(err))
			}
		})
	}
	return w.watcher
}

// Wait returns once the watching has ended.
func (w *Watch) Wait() { w.running.Wait() }

func (w *Watch) changed(c served.Change) {
	w.mu.Lock()
	listeners := w.listeners[:len(w.listeners):len(w.listeners)]
	w.mu.Unlock()
	for _, changed := range listeners {
		changed(c)
	}
}

func statusURL() string {
	if url := os.Getenv(StatusURLEnv); url != "" {
		return url
	}
	return fmt.Sprintf("http://%s:9090", network.GetServiceHostname(dispatcherService, system.Namespace()))
}
