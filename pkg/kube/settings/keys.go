package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"knative.dev/eventing/pkg/apis/feature"

	"leat.dev/leat/pkg/routing/build"
)

// Limits of what may be set.
const (
	minEventBytes = 1 << 10
	maxEventBytes = 1 << 30
	maxTimeout    = time.Hour
	maxGrace      = time.Hour
)

// key is one key of a ConfigMap.
type key struct {
	configMap string
	name      string
	// set reads a value. The error says what is allowed.
	set func(s *Settings, value string) error
	// show is the setting as a person writes it. It is nil for what takes
	// effect at once.
	show func(s *Settings) string
}

// keysOf are all keys that are read, of ConfigMaps with those names. A later
// one prevails.
func keysOf(n Names) []key {
	return []key{
		bytesKey(n.Leat, "max-event-size", minEventBytes, maxEventBytes, "10Mi",
			func(s *Settings) *int64 { return &s.MaxEventBytes }),
		bytesKey(n.Leat, "max-disk", 0, math.MaxInt64, "50Gi, or 0 for no limit of its own",
			func(s *Settings) *uint64 { return &s.MaxDiskBytes }),
		bytesKey(n.Leat, "min-free-disk", 0, math.MaxInt64, "256Mi",
			func(s *Settings) *uint64 { return &s.MinFreeBytes }),
		durationKey(n.Leat, "delivery-timeout", time.Millisecond, maxTimeout, func(s *Settings) *time.Duration { return &s.DeliveryTimeout }),
		durationKey(n.Leat, "grace-period", time.Second, maxGrace, func(s *Settings) *time.Duration { return &s.Grace }),
		durationKey(n.Leat, "drain-delay", 0, maxGrace, func(s *Settings) *time.Duration { return &s.DrainDelay }),

		choiceKey(n.Observability, "metrics-protocol", "prometheus", "none", func(s *Settings) *bool { return &s.Metrics }),
		choiceKey(n.Observability, "runtime-profiling", "enabled", "disabled", func(s *Settings) *bool { return &s.Profiling }),

		{configMap: n.Logging, name: "zap-logger-config", set: setZap},
		{configMap: n.Logging, name: "loglevel." + Component, set: setLevel},

		{configMap: n.Features, name: feature.CrossNamespaceEventLinks, set: setCrossNamespace},
	}
}

func bytesKey[N int64 | uint64](configMap, name string, least, most int64, example string, field func(*Settings) *N) key {
	return key{
		configMap: configMap, name: name,
		set: func(s *Settings, value string) error {
			q, err := resource.ParseQuantity(value)
			if err != nil || q.CmpInt64(least) < 0 || q.CmpInt64(most) > 0 {
				return fmt.Errorf("must be bytes or a quantity such as %s%s", example, between(least, most))
			}
			*field(s) = N(q.Value())
			return nil
		},
		show: func(s *Settings) string { return resource.NewQuantity(int64(*field(s)), resource.BinarySI).String() },
	}
}

// between is the limits of a size that has some.
func between(least, most int64) string {
	if most == math.MaxInt64 {
		return ""
	}
	return fmt.Sprintf(", from %s to %s", resource.NewQuantity(least, resource.BinarySI), resource.NewQuantity(most, resource.BinarySI))
}

func durationKey(configMap, name string, least, most time.Duration, field func(*Settings) *time.Duration) key {
	return key{
		configMap: configMap, name: name,
		set: func(s *Settings, value string) error {
			d, err := build.ParseDuration(value)
			if err != nil || d < least || d > most {
				return fmt.Errorf("must be a duration such as 30s or PT30S, from %s to %s", least, most)
			}
			*field(s) = d
			return nil
		},
		show: func(s *Settings) string { return field(s).String() },
	}
}

// choiceKey is a key with one value for yes and one for no.
func choiceKey(configMap, name, yes, no string, field func(*Settings) *bool) key {
	return key{
		configMap: configMap, name: name,
		set: func(s *Settings, value string) error {
			if value != yes && value != no {
				return fmt.Errorf("must be %s or %s", yes, no)
			}
			*field(s) = value == yes
			return nil
		},
		show: func(s *Settings) string {
			if *field(s) {
				return yes
			}
			return no
		},
	}
}

// setCrossNamespace reads a feature flag as upstream does: only Enabled is yes.
func setCrossNamespace(s *Settings, value string) error {
	s.CrossNamespace = strings.EqualFold(value, string(feature.Enabled))
	if !s.CrossNamespace && !strings.EqualFold(value, string(feature.Disabled)) && !strings.EqualFold(value, string(feature.Allowed)) {
		return errors.New("must be enabled or disabled")
	}
	return nil
}

// levels are zap's, of which those above error are error here.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn,
	"error": slog.LevelError, "dpanic": slog.LevelError, "panic": slog.LevelError, "fatal": slog.LevelError,
}

func setLevel(s *Settings, value string) error {
	if value == "" { // nothing of its own
		return nil
	}
	level, ok := levels[strings.ToLower(value)]
	if !ok {
		return errors.New("must be debug, info, warn or error")
	}
	s.LogLevel = level
	return nil
}

// setZap reads the level alone: the rest of the form is zap's.
func setZap(s *Settings, value string) error {
	var config struct {
		Level string `json:"level"`
	}
	if value == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(value), &config); err != nil {
		return errors.New(`must be JSON such as {"level": "info"}`)
	}
	if err := setLevel(s, config.Level); err != nil {
		return fmt.Errorf("level is %s: %w", quote(config.Level), err)
	}
	return nil
}

// quote is a value as it may stand in a log line.
func quote(value string) string {
	const longest = 80
	if len(value) > longest {
		value = value[:longest] + "..."
	}
	return strconv.Quote(value)
}
