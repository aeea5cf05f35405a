package broker

import (
	"context"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/client/injection/client"
	fakeclient "knative.dev/eventing/pkg/client/injection/client/fake"
	brokerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/reconciler/dataplane/dataplanetest"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"

	// The fakes of what the controller finds in its context.
	_ "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker/fake"
	_ "knative.dev/pkg/client/injection/ducks/duck/v1/addressable/fake"
	_ "knative.dev/pkg/client/injection/kube/client/fake"
	_ "knative.dev/pkg/injection/clients/dynamicclient/fake"
)

// running is a controller whose workers do not run, so that its queue can be
// looked into.
type running struct {
	*controller.Impl
	plane *dataplanetest.Plane
	cmw   *configmap.ManualWatcher
	store cache.Indexer
	// create makes a Broker in the cluster.
	create, update func(*testing.T, *eventingv1.Broker)
	ctx            context.Context
}

func start(t *testing.T) running {
	t.Helper()
	ctx, cancel, informers := rtesting.SetupFakeContextWithCancel(t)
	r := running{
		ctx:   ctx,
		plane: &dataplanetest.Plane{}, cmw: &configmap.ManualWatcher{Namespace: "knative-testing"},
		store: brokerinformer.Get(ctx).Informer().GetIndexer(),
	}
	r.Impl = NewController(r.plane)(ctx, r.cmw)
	wait, err := rtesting.RunAndSyncInformers(ctx, informers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); wait() })
	brokers := client.Get(ctx).EventingV1()
	r.create = func(t *testing.T, b *eventingv1.Broker) {
		if _, err := brokers.Brokers(b.Namespace).Create(ctx, b, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.update = func(t *testing.T, b *eventingv1.Broker) {
		if _, err := brokers.Brokers(b.Namespace).Update(ctx, b, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func theirs(b *eventingv1.Broker) {
	b.Annotations["eventing.knative.dev/broker.class"] = "MTChannelBasedBroker"
}

func TestWhatMakesTheControllerLookAtABroker(t *testing.T) {
	r := start(t)
	expect := func(what string, want ...string) {
		t.Helper()
		if got := rt.Queued(t, r.Impl, len(want)); !slices.Equal(got, want) {
			t.Errorf("%s enqueues %q, want %q", what, got, want)
		}
	}
	r.create(t, rt.Broker(ns, "theirs", "", theirs))
	r.create(t, rt.Broker(ns, "a", FinalizerName))
	expect("a new Broker", "shop/a")
	r.create(t, rt.Broker(ns, "b", FinalizerName))
	expect("a new Broker", "shop/b")
	r.update(t, rt.Broker(ns, "a", FinalizerName, func(b *eventingv1.Broker) { b.Generation = 2 }))
	expect("a change", "shop/a")

	stream := func(kind routing.Kind, name string) routing.StreamName {
		return routing.StreamName{Kind: kind, Namespace: ns, Name: name}
	}
	r.plane.Change(served.Change{
		Streams: []routing.StreamName{stream(routing.Broker, "b"), stream(routing.Channel, "c")},
		Removed: []routing.StreamName{stream(routing.Broker, "a")},
		Routes:  []served.RouteRef{{Stream: stream(routing.Broker, "b"), ID: "trigger/shop/t/uid"}},
	})
	expect("a change of the data plane", "shop/a", "shop/b")
	r.plane.Change(served.Change{All: true})
	expect("a data plane that comes or goes", "shop/a", "shop/b")

	r.cmw.OnChange(rt.ConfigMap("knative-testing", "config-features", map[string]string{"transport-encryption": "strict"}))
	expect("a change of config-features", "shop/a", "shop/b")
	r.cmw.OnChange(rt.ConfigMap("knative-testing", "config-br-defaults", map[string]string{"default-br-config": brDefaults}))
	expect("a change of config-br-defaults", "shop/a", "shop/b")
	r.cmw.OnChange(rt.ConfigMap("knative-testing", "config-br-defaults", map[string]string{"default-br-config": "{"}))
	expect("a mistake in config-br-defaults")
}

// What the controller makes of a Broker, with all that it was put together of.
func TestControllerReconciles(t *testing.T) {
	r := start(t)
	r.plane.Say(served.Verdict{State: served.Serving})
	r.create(t, rt.Broker(ns, name, FinalizerName, func(b *eventingv1.Broker) { b.Finalizers = nil }))
	rt.Queued(t, r.Impl, 1)
	if err := r.Reconciler.(reconciler.LeaderAware).Promote(reconciler.UniversalBucket(),
		func(reconciler.Bucket, types.NamespacedName) {}); err != nil {
		t.Fatal(err)
	}
	if err := r.Reconciler.Reconcile(r.ctx, key); err != nil {
		t.Fatal(err)
	}
	var finalizers string
	for _, action := range fakeclient.Get(r.ctx).Actions() {
		if patch, ok := action.(clientgotesting.PatchAction); ok {
			finalizers = string(patch.GetPatch())
		}
	}
	b, err := client.Get(r.ctx).EventingV1().Brokers(ns).Get(r.ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(finalizers, `["`+FinalizerName+`"]`) || !b.IsReady() {
		t.Errorf("the Broker gets the finalizers %s and the status %+v", finalizers, b.Status)
	}
}

func TestBadDefaultsLeaveTheGoodOnes(t *testing.T) {
	var d defaults
	good := rt.ConfigMap("knative-testing", "config-br-defaults", map[string]string{"default-br-config": brDefaults})
	if err := d.set(good); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{", "clusterDefault: 7"} {
		bad := rt.ConfigMap("knative-testing", "config-br-defaults", map[string]string{"default-br-config": text})
		if err := d.set(bad); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if d.applied(t.Context(), broker(inherited())) == nil {
		t.Error("the good defaults are forgotten")
	}
}
