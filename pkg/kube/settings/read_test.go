package settings_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/kube/settings"
	"leat.dev/leat/pkg/routing"
)

type data = map[string]map[string]string

func texts(problems []routing.Problem) []string {
	var list []string
	for _, p := range problems {
		list = append(list, p.String())
	}
	return list
}

func TestNothingIsTheDefault(t *testing.T) {
	got, problems := settings.NewReader(settings.DefaultNames()).Read(nil)
	if got != settings.Default() || len(problems) > 0 {
		t.Errorf("it is %+v, %v", got, problems)
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		configMap, key, value string
		want                  func(s *settings.Settings)
	}{
		{"config-leat", "max-event-size", "1Mi", func(s *settings.Settings) { s.MaxEventBytes = 1 << 20 }},
		{"config-leat", "max-event-size", " 2048 ", func(s *settings.Settings) { s.MaxEventBytes = 2048 }},
		{"config-leat", "max-disk", "50Gi", func(s *settings.Settings) { s.MaxDiskBytes = 50 << 30 }},
		{"config-leat", "max-disk", "0", func(*settings.Settings) {}},
		{"config-leat", "min-free-disk", "1G", func(s *settings.Settings) { s.MinFreeBytes = 1e9 }},
		{"config-leat", "min-free-disk", "0", func(s *settings.Settings) { s.MinFreeBytes = 0 }},
		{"config-leat", "delivery-timeout", "90s", func(s *settings.Settings) { s.DeliveryTimeout = 90 * time.Second }},
		{"config-leat", "delivery-timeout", "PT2M", func(s *settings.Settings) { s.DeliveryTimeout = 2 * time.Minute }},
		{"config-leat", "grace-period", "1m", func(s *settings.Settings) { s.Grace = time.Minute }},
		{"config-leat", "drain-delay", "5s", func(s *settings.Settings) { s.DrainDelay = 5 * time.Second }},
		{"config-leat", "_example", "max-disk: nonsense", func(*settings.Settings) {}},
		{"config-observability", "metrics-protocol", "none", func(s *settings.Settings) { s.Metrics = false }},
		{"config-observability", "metrics-protocol", "prometheus", func(*settings.Settings) {}},
		{"config-observability", "metrics-endpoint", ":9999", func(*settings.Settings) {}},
		{"config-observability", "runtime-profiling", "enabled", func(s *settings.Settings) { s.Profiling = true }},
		{"config-logging", "loglevel.leat-dispatcher", "debug", func(s *settings.Settings) { s.LogLevel = slog.LevelDebug }},
		{"config-logging", "loglevel.leat-dispatcher", "Fatal", func(s *settings.Settings) { s.LogLevel = slog.LevelError }},
		{"config-logging", "loglevel.controller", "debug", func(*settings.Settings) {}},
		{"config-logging", "zap-logger-config", `{"level": "warn", "encoding": "json"}`, func(s *settings.Settings) { s.LogLevel = slog.LevelWarn }},
		{"config-logging", "zap-logger-config", "", func(*settings.Settings) {}},
		{"config-features", "cross-namespace-event-links", "Enabled", func(s *settings.Settings) { s.CrossNamespace = true }},
		{"config-features", "cross-namespace-event-links", "disabled", func(*settings.Settings) {}},
		{"config-features", "cross-namespace-event-links", "allowed", func(*settings.Settings) {}},
		{"config-features", "authentication-oidc", "enabled", func(*settings.Settings) {}},
		{"another", "max-disk", "nonsense", func(*settings.Settings) {}},
	}
	for _, tt := range tests {
		want := settings.Default()
		tt.want(&want)
		got, problems := settings.NewReader(settings.DefaultNames()).Read(data{tt.configMap: {tt.key: tt.value}})
		if got != want || len(problems) > 0 {
			t.Errorf("%s %s=%s is %+v, %v", tt.configMap, tt.key, tt.value, got, texts(problems))
		}
	}
}

func TestTheComponentsOwnLevelPrevails(t *testing.T) {
	got, _ := settings.NewReader(settings.DefaultNames()).Read(data{"config-logging": {
		"zap-logger-config": `{"level": "error"}`, "loglevel.leat-dispatcher": "debug",
	}})
	if got.LogLevel != slog.LevelDebug {
		t.Errorf("the level is %v", got.LogLevel)
	}
}

func TestBadValues(t *testing.T) {
	tests := []struct{ configMap, key, value, problem string }{
		{"config-leat", "max-event-size", "ten", `config-leat: max-event-size: it is "ten", but must be bytes or a quantity such as 10Mi, from 1Ki to 1Gi; the default is used`},
		{"config-leat", "max-event-size", "2Gi", `config-leat: max-event-size: it is "2Gi", but must be bytes or a quantity such as 10Mi, from 1Ki to 1Gi; the default is used`},
		{"config-leat", "max-disk", "-1", `config-leat: max-disk: it is "-1", but must be bytes or a quantity such as 50Gi, or 0 for no limit of its own; the default is used`},
		{"config-leat", "max-disk", "1e40", `config-leat: max-disk: it is "1e40", but must be bytes or a quantity such as 50Gi, or 0 for no limit of its own; the default is used`},
		{"config-leat", "max-disk", "", `config-leat: max-disk: it is "", but must be bytes or a quantity such as 50Gi, or 0 for no limit of its own; the default is used`},
		{"config-leat", "delivery-timeout", "0s", `config-leat: delivery-timeout: it is "0s", but must be a duration such as 30s or PT30S, from 1ms to 1h0m0s; the default is used`},
		{"config-leat", "grace-period", "30", `config-leat: grace-period: it is "30", but must be a duration such as 30s or PT30S, from 1s to 1h0m0s; the default is used`},
		{"config-leat", "max-disks", "1Gi", `config-leat: max-disks: there is no such setting; there are max-event-size, max-disk, min-free-disk, delivery-timeout, grace-period, drain-delay`},
		{"config-observability", "metrics-protocol", "grpc", `config-observability: metrics-protocol: it is "grpc", but must be prometheus or none; the default is used`},
		{"config-observability", "runtime-profiling", "yes", `config-observability: runtime-profiling: it is "yes", but must be enabled or disabled; the default is used`},
		{"config-logging", "loglevel.leat-dispatcher", "loud", `config-logging: loglevel.leat-dispatcher: it is "loud", but must be debug, info, warn or error; the default is used`},
		{"config-logging", "zap-logger-config", "level: info", `config-logging: zap-logger-config: it is "level: info", but must be JSON such as {"level": "info"}; the default is used`},
		{"config-logging", "zap-logger-config", `{"level": "x"}`, `config-logging: zap-logger-config: it is "{\"level\": \"x\"}", but level is "x": must be debug, info, warn or error; the default is used`},
		{"config-features", "cross-namespace-event-links", "on", `config-features: cross-namespace-event-links: it is "on", but must be enabled or disabled; the default is used`},
	}
	for _, tt := range tests {
		got, problems := settings.NewReader(settings.DefaultNames()).Read(data{tt.configMap: {tt.key: tt.value}})
		if got != settings.Default() {
			t.Errorf("%s=%s changed the settings to %+v", tt.key, tt.value, got)
		}
		if !slices.Equal(texts(problems), []string{tt.problem}) {
			t.Errorf("the problems are\n%s\nwant\n%s", strings.Join(texts(problems), "\n"), tt.problem)
		}
	}
}

// One mistake leaves the other settings as they are wanted, and its own as it
// was.
func TestTheLastGoodValueStays(t *testing.T) {
	r := settings.NewReader(settings.DefaultNames())
	r.Read(data{"config-leat": {"max-disk": "1Gi"}})
	for range 2 {
		got, problems := r.Read(data{"config-leat": {"max-disk": "2Gi.", "drain-delay": "1s"}})
		if got.MaxDiskBytes != 1<<30 || got.DrainDelay != time.Second {
			t.Errorf("it is %+v", got)
		}
		if len(problems) != 1 || !strings.HasSuffix(problems[0].Reason, `; "1Gi", as it was before, is used`) {
			t.Errorf("the problems are %q", texts(problems))
		}
	}
	if got, problems := r.Read(data{}); got != settings.Default() || len(problems) > 0 {
		t.Errorf("without the key it is %+v, %q", got, texts(problems))
	}
	if got, _ := r.Read(data{"config-leat": {"max-disk": "bad"}}); got != settings.Default() {
		t.Errorf("a value that was taken back is used again: %+v", got)
	}
}

func TestPending(t *testing.T) {
	r := settings.NewReader(settings.DefaultNames())
	running, _ := r.Read(nil)
	wanted, _ := r.Read(data{
		"config-leat":          {"max-disk": "1Gi", "grace-period": "PT30S"},
		"config-logging":       {"loglevel.leat-dispatcher": "debug"},
		"config-features":      {"cross-namespace-event-links": "enabled"},
		"config-observability": {"runtime-profiling": "enabled"},
	})
	want := []settings.Change{
		{"config-leat", "max-disk", "0", "1Gi"},
		{"config-observability", "runtime-profiling", "disabled", "enabled"},
	}
	if got := r.Pending(running, wanted); !slices.Equal(got, want) {
		t.Errorf("pending are %+v, want %+v", got, want)
	}
}
