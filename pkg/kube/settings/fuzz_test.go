package settings_test

import (
	"strings"
	"testing"

	"leat.dev/leat/pkg/kube/settings"
)

// FuzzRead: a value is taken or it is a problem in bounded words, the settings
// always make sense, and a bad value after a good one changes nothing.
func FuzzRead(f *testing.F) {
	for _, value := range []string{"10Mi", "0", "-1", "9999999999Ei", "90s", "PT2M", "P9999Y", "enabled", "", "none", "debug", `{"level": "warn"}`, "{", "1e3", "\x00"} {
		for which := range uint8(12) {
			f.Add(which, "", value, "nonsense")
			f.Add(which, "", "1Mi", value)
		}
	}
	keys := []struct{ configMap, key string }{
		{"config-leat", "max-event-size"}, {"config-leat", "max-disk"}, {"config-leat", "min-free-disk"}, {"config-leat", "delivery-timeout"},
		{"config-leat", "grace-period"}, {"config-leat", "drain-delay"}, {"config-observability", "metrics-protocol"},
		{"config-observability", "runtime-profiling"}, {"config-logging", "loglevel.leat-dispatcher"}, {"config-logging", "zap-logger-config"},
		{"config-features", "cross-namespace-event-links"}, {"config-leat", ""},
	}
	f.Fuzz(func(t *testing.T, which uint8, name, first, second string) {
		key := keys[int(which)%len(keys)]
		if key.key == "" {
			key.key = name
		}
		reader := settings.NewReader(settings.DefaultNames())
		var last settings.Settings
		for i, value := range []string{first, second} {
			s, problems := reader.Read(data{key.configMap: {key.key: value}})
			if s.MaxEventBytes < 1 || s.DeliveryTimeout <= 0 || s.Grace < 0 || s.DrainDelay < 0 {
				t.Fatalf("%s is %q: %+v", key.key, value, s)
			}
			if i > 0 && len(problems) > 0 && s != last {
				t.Fatalf("%s was %q and is %q, %v: %+v became %+v", key.key, first, value, problems, last, s)
			}
			for _, p := range problems {
				if len(p.Reason) > 1000 || strings.ContainsAny(p.Reason, "\n\x1b\x00") {
					t.Fatalf("%s is %q: a problem is %q", key.key, value, p.Reason)
				}
			}
			last = s
		}
	})
}
