// Package settings is what the ConfigMaps of a cluster say about a data plane:
// typed, checked, and followed while it runs.
//
// A value that is not allowed never stops a data plane: neither a running one,
// nor one that is started again weeks after the mistake was made. The last good
// value stays, or the default if there was none; the mistake is logged and
// shown with the problems of the objects.
package settings

import (
	"log/slog"
	"time"
)

// Settings are what the ConfigMaps say. The zero value is not usable: begin
// with Default.
type Settings struct {
	// MaxEventBytes bounds a request's body.
	MaxEventBytes int64
	// MaxDiskBytes and MinFreeBytes bound the disk; 0 is no bound.
	MaxDiskBytes, MinFreeBytes uint64
	// DeliveryTimeout bounds one attempt of a route that says nothing.
	DeliveryTimeout time.Duration
	// Grace bounds the time from SIGTERM to the end.
	Grace time.Duration
	// DrainDelay is how long events are taken after readiness is off.
	DrainDelay time.Duration
	// Metrics are shown at /metrics.
	Metrics bool
	// Profiling is shown to operators.
	Profiling bool

	// LogLevel takes effect at once.
	LogLevel slog.Level
	// CrossNamespace lets Triggers read Brokers of other namespaces. It takes
	// effect at once.
	CrossNamespace bool
}

// Default is what holds without ConfigMaps.
func Default() Settings {
	return Settings{
		MaxEventBytes: 10 << 20, MinFreeBytes: 256 << 20,
		DeliveryTimeout: 5 * time.Minute, Grace: 30 * time.Second,
		Metrics: true, LogLevel: slog.LevelInfo,
	}
}

// Names of the ConfigMaps.
type Names struct {
	Leat, Logging, Observability, Features string
}

// DefaultNames are the names that the ConfigMaps of Knative Eventing have.
func DefaultNames() Names {
	return Names{
		Leat: "config-leat", Logging: "config-logging", Observability: "config-observability", Features: "config-features",
	}
}

// Component is what config-logging calls a data plane: loglevel.leat-dispatcher.
const Component = "leat-dispatcher"
