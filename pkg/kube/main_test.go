package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"leat.dev/leat/pkg/kube"
)

func TestServes(t *testing.T) {
	w := newWorld(t)
	w.start()
	line := w.serving()
	w.send(line["listen"].(string), "1", "/billing")
	if code, body := get("http://" + w.status + "/readyz"); code != http.StatusOK {
		t.Errorf("ready is %d %s", code, body)
	}
	w.configMap("config-logging", "loglevel.leat-dispatcher", "debug")
	if _, body := get("http://" + w.status + "/v1/served"); !strings.Contains(body, `"trigger/shop/billing/t1":{"fingerprint":`) {
		t.Errorf("served is %s", body)
	}
	if code, body := get("http://" + w.status + "/metrics"); code != http.StatusOK || !strings.Contains(body, "leat_") {
		t.Errorf("the metrics are %d %s", code, body)
	}
	n := 0
	w.eventually("details of the table are logged", func() bool {
		n++
		w.trigger(fmt.Sprintf("t-%d", n))
		return strings.Contains(w.log.String(), `"level":"DEBUG","msg":"the objects of the cluster have changed"`)
	})
	w.cancel()
	w.logged("stopped")
}

// Without its settings a dispatcher does not begin, but it lives: being killed
// would not bring the API server back.
func TestAPIServerAwayAtStart(t *testing.T) {
	w := newWorld(t)
	w.fail(errors.New("away"))
	w.start()
	w.eventually("it lives", func() bool { code, _ := get("http://" + w.status + "/healthz"); return code == http.StatusOK })
	if code, body := get("http://" + w.status + "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "settings") {
		t.Errorf("ready is %d %s", code, body)
	}
	w.configMap("config-leat", "max-event-size", "1Ki")
	w.configMaps.Fail(nil)
	// The settings are there, the objects are not.
	w.eventually("it waits for the table", func() bool {
		code, body := get("http://" + w.status + "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "table")
	})
	w.fail(nil)
	listen := w.serving()["listen"].(string)
	resp, err := http.Post("http://"+listen+"/shop/orders", "application/json", strings.NewReader(strings.Repeat(" ", 2048)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a request larger than max-event-size got %s", resp.Status)
	}
}

func TestStoppedBeforeItServes(t *testing.T) {
	w := newWorld(t)
	w.fail(errors.New("away"))
	w.start()
	w.eventually("it lives", func() bool { code, _ := get("http://" + w.status + "/healthz"); return code == http.StatusOK })
	w.cancel()
}

// Events flow without the API server, and changes are followed when it is back.
func TestAPIServerAwayLater(t *testing.T) {
	w := newWorld(t)
	w.start()
	listen := w.serving()["listen"].(string)
	w.fail(errors.New("away"))
	w.logged("the API server cannot be read; what is served stays as it is")
	w.triggers.Delete("shop", "billing")
	w.trigger("audit")
	w.send(listen, "1", "/billing")
	if code, body := get("http://" + w.status + "/readyz"); code != http.StatusOK {
		t.Errorf("ready is %d %s", code, body)
	}
	w.fail(nil)
	w.logged("the API server can be read again")
	admin := w.serving()["admin"].(string)
	w.eventually("the change is followed", func() bool {
		_, body := get("http://" + admin + "/v1/streams/shop/orders")
		return strings.Contains(body, "audit")
	})
	w.send(listen, "2", "/audit")
}

func TestABadSettingStopsNothing(t *testing.T) {
	w := newWorld(t)
	w.configMap("config-leat", "max-disk", "lots")
	w.start()
	line := w.serving()
	w.send(line["listen"].(string), "1", "/billing")
	if _, body := get("http://" + line["admin"].(string) + "/v1/problems"); !strings.Contains(body, "max-disk") || !strings.Contains(body, "lots") {
		t.Errorf("the problems are %s", body)
	}
	if l := w.logged("a setting is not allowed"); l["level"] != "ERROR" || l["key"] != "max-disk" {
		t.Errorf("the log has %v", l)
	}
	w.configMap("config-leat", "max-disk", "10Gi")
	if l := w.logged("a setting was changed; it takes effect when the dispatcher restarts"); l["wanted"] != "10Gi" {
		t.Errorf("the log has %v", l)
	}
	w.eventually("the problem is gone", func() bool {
		_, body := get("http://" + line["admin"].(string) + "/v1/problems")
		return !strings.Contains(body, "max-disk")
	})
}

func TestNoMetrics(t *testing.T) {
	w := newWorld(t)
	w.configMap("config-observability", "metrics-protocol", "none")
	w.start()
	admin := w.serving()["admin"].(string)
	for _, address := range []string{w.status, admin} {
		if code, _ := get("http://" + address + "/metrics"); code != http.StatusNotFound {
			t.Errorf("the metrics at %s are %d", address, code)
		}
	}
}

func TestMisuse(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name, namespace string
		args            []string
		code            int
		says            string
	}{
		{"help", "", []string{"--help"}, 0, "-kubeconfig file"},
		{"no namespace", "", nil, 2, "SYSTEM_NAMESPACE is not set"},
		{"unknown flag", "a", []string{"--nonsense"}, 2, "flag provided but not defined"},
		{"argument", "a", []string{"serve"}, 2, `\"serve\" is not a flag`},
		{"no file", "a", []string{"--kubeconfig", filepath.Join(t.TempDir(), "absent")}, 1, "no way to the API server"},
		{"no cluster", "a", nil, 1, "outside of a cluster, name a file with --kubeconfig"},
		{"no address", "a", []string{"--kubeconfig", w.kubeconfig, "--status", "nonsense"}, 1, "choose another address with --status"},
		{"namespace", "a/b", []string{"--kubeconfig", w.kubeconfig}, 1, "made of SYSTEM_NAMESPACE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SYSTEM_NAMESPACE", tt.namespace)
			var log buffer
			if code := kube.Main(t.Context(), "test", tt.args, &log); code != tt.code || !strings.Contains(log.String(), tt.says) {
				t.Errorf("the exit code is %d, want %d; the log:\n%s", code, tt.code, log.String())
			}
		})
	}
}
