package reconcilertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/reconciler"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/reconciler/dataplane/dataplanetest"
)

// Running is a controller with informers, but without workers, so that its
// queue can be looked into.
type Running struct {
	*controller.Impl
	// Ctx has the fake clients and informers.
	Ctx   context.Context
	Plane *dataplanetest.Plane
	// Config has the ConfigMaps of the system namespace.
	Config *configmap.ManualWatcher
}

// Start makes a controller and stops it at the end of the test.
func Start(t *testing.T, ctor func(dataplane.Link) injection.ControllerConstructor) Running {
	t.Helper()
	ctx, cancel, informers := rtesting.SetupFakeContextWithCancel(t)
	r := Running{Ctx: ctx, Plane: &dataplanetest.Plane{}, Config: &configmap.ManualWatcher{Namespace: "knative-testing"}}
	r.Impl = ctor(r.Plane)(ctx, r.Config)
	wait, err := rtesting.RunAndSyncInformers(ctx, informers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); wait() })
	return r
}

// Reconcile reconciles one object, as a leader.
func (r Running) Reconcile(t *testing.T, key string) error {
	t.Helper()
	la, ok := r.Reconciler.(reconciler.LeaderAware)
	if !ok {
		t.Fatalf("%T knows no leader", r.Reconciler)
	}
	if err := la.Promote(reconciler.UniversalBucket(), func(reconciler.Bucket, types.NamespacedName) {}); err != nil {
		t.Fatal(err)
	}
	return r.Reconciler.Reconcile(r.Ctx, key)
}

// Expect takes the keys want from the queue. It fails if there are others, or
// more.
func (r Running) Expect(t *testing.T, what string, want ...string) {
	t.Helper()
	keys := make(chan string)
	go func() {
		defer close(keys)
		for range want {
			key, shutdown := r.WorkQueue().Get()
			if shutdown {
				return
			}
			r.WorkQueue().Done(key)
			keys <- key.(types.NamespacedName).String()
		}
	}()
	defer time.AfterFunc(10*time.Second, r.WorkQueue().ShutDown).Stop()
	var got []string
	for key := range keys {
		got = append(got, key)
	}
	slices.Sort(got)
	if rest := r.WorkQueue().Len(); !slices.Equal(got, want) || rest > 0 {
		t.Errorf("%s enqueues %q and %d more, want %q", what, got, rest, want)
	}
}

// Eventually waits until something that a goroutine does is done.
func Eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in ten seconds it has not come true that %s", what)
		}
	}
}
