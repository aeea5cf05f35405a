//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

// patience is how long anything may take that a healthy cluster does at once.
const patience = 2 * time.Minute

// world is a namespace of a test, with a pod that sends and one that receives.
type world struct {
	testing.TB
	ctx context.Context
	ns  string
	// objects are shown if the test fails.
	objects []func() (duckv1.KRShaped, error)
}

// newWorld makes a namespace, which is gone when the test has ended: that it
// goes is part of the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{TB: t, ctx: t.Context(), ns: "leat-e2e-" + strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))}
	w.ns = w.ns[:min(len(w.ns), 50)] + "-" + rand.String(5)
	began := time.Now()
	namespaces := cluster.kube.CoreV1().Namespaces()
	if _, err := namespaces.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.ctx = context.Background()
		if t.Failed() {
			w.explain(time.Since(began))
		}
		if err := namespaces.Delete(w.ctx, w.ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		w.eventually("the namespace is gone", func() string {
			_, err := namespaces.Get(w.ctx, w.ns, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return ""
			}
			return fmt.Sprint("it is still there: ", err)
		})
	})
	w.startProbe("sender")
	w.startProbe("receiver")
	for _, name := range []string{"sender", "receiver"} {
		w.eventually(name+" runs", func() string { return w.podReady(name) })
	}
	return w
}

// eventually waits until state says nothing more.
func (w *world) eventually(what string, state func() string) {
	w.Helper()
	began := time.Now()
	for {
		now := state()
		if now == "" {
			return
		}
		if time.Since(began) > patience {
			w.Fatalf("not within %v: %s: %s", patience, what, now)
		}
		time.Sleep(tick)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// ready waits until an object is ready in its last generation.
func ready[T duckv1.KRShaped](w *world, get func() (T, error)) T {
	w.Helper()
	w.objects = append(w.objects, func() (duckv1.KRShaped, error) { return get() })
	var last T
	w.eventually("ready", func() string {
		var err error
		if last, err = get(); err != nil {
			return err.Error()
		}
		return unready(last)
	})
	return last
}

// unready is why an object is not ready, empty if it is.
func unready(o duckv1.KRShaped) string {
	kind := fmt.Sprintf("%T %s", o, o.GetName())
	if got := o.GetStatus().ObservedGeneration; got != o.GetGeneration() {
		return fmt.Sprintf("%s: generation %d of %d was seen", kind, got, o.GetGeneration())
	}
	for _, c := range o.GetStatus().Conditions {
		if c.Type == "Ready" && c.IsTrue() {
			return ""
		}
	}
	return fmt.Sprintf("%s: %s", kind, show(o.GetStatus().Conditions))
}

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// explain tells what a person needs who looks at a failure.
func (w *world) explain(since time.Duration) {
	for _, get := range w.objects {
		o, err := get()
		w.Logf("%v %s", err, show(o))
	}
	if list, err := cluster.kube.CoreV1().Events(w.ns).List(w.ctx, metav1.ListOptions{}); err == nil {
		for _, e := range list.Items {
			w.Logf("event on %s %s: %s %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
	w.Log(systemLogs(since))
}
