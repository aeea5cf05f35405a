package settings_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"leat.dev/leat/pkg/kube/mirror/mirrortest"
	"leat.dev/leat/pkg/kube/settings"
	"leat.dev/leat/pkg/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func configMap(name string, pairs ...string) *corev1.ConfigMap {
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "knative-eventing", Name: name}, Data: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		c.Data[pairs[i]] = pairs[i+1]
	}
	return c
}

func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := mirrortest.NewShelf[*corev1.ConfigMap](corev1.SchemeGroupVersion.WithKind("ConfigMap"),
			func() *corev1.ConfigMapList { return &corev1.ConfigMapList{} })
		var log bytes.Buffer
		w := settings.NewWatcher(settings.Options{
			Client: shelf, Names: settings.DefaultNames(), Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		var got []settings.Settings
		var problems []routing.Problem
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			w.Run(ctx, func(s settings.Settings, p []routing.Problem) { got, problems = append(got, s), p })
		})
		defer func() { cancel(); running.Wait() }()
		wantCalls := func(n int) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if len(got) != n {
				t.Fatalf("%d calls, want %d:\n%s", len(got), n, log.String())
			}
		}

		shelf.Fail(errors.New("connection refused"))
		wantCalls(0)
		shelf.Put(configMap("config-leat", "max-disk", "1Gi", "drain-delay", "soon"), configMap("other", "max-disk", "2Gi"))
		shelf.Fail(nil)
		wantCalls(1)
		if got[0].MaxDiskBytes != 1<<30 || len(problems) != 1 {
			t.Errorf("it is %+v, %v", got[0], problems)
		}
		if !strings.Contains(log.String(), `level=ERROR msg="a setting is not allowed" configmap=config-leat key=drain-delay`) {
			t.Errorf("the log does not tell of the bad value:\n%s", log.String())
		}

		shelf.Put(configMap("config-features", "cross-namespace-event-links", "enabled"))
		wantCalls(2)
		if !got[1].CrossNamespace || strings.Contains(log.String(), "restart") {
			t.Errorf("it is %+v:\n%s", got[1], log.String())
		}

		shelf.Put(configMap("config-leat", "max-disk", "3Gi"))
		wantCalls(3)
		shelf.Put(configMap("config-logging", "loglevel.leat-dispatcher", "debug"))
		wantCalls(4)
		if got[3].LogLevel != slog.LevelDebug || len(problems) != 0 {
			t.Errorf("it is %+v, %v", got[3], problems)
		}
		if n := strings.Count(log.String(), "takes effect when the dispatcher restarts\" configmap=config-leat key=max-disk running=1Gi wanted=3Gi"); n != 1 {
			t.Errorf("the restart is asked for %d times:\n%s", n, log.String())
		}

		shelf.Delete("knative-eventing", "config-features")
		wantCalls(5)
		if got[4].CrossNamespace {
			t.Error("a setting outlives its ConfigMap")
		}
		shelf.Put(configMap("other", "max-disk", "4Gi"))
		wantCalls(5)
	})
}
