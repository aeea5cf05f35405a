package broker

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgotesting "k8s.io/client-go/testing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/client/injection/client"
	fakeclient "knative.dev/eventing/pkg/client/injection/client/fake"

	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"

	// The fakes of what the controller finds in its context.
	_ "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker/fake"
	_ "knative.dev/pkg/client/injection/ducks/duck/v1/addressable/fake"
	_ "knative.dev/pkg/client/injection/kube/client/fake"
	_ "knative.dev/pkg/injection/clients/dynamicclient/fake"
)

type running struct{ rt.Running }

func start(t *testing.T) running {
	t.Helper()
	return running{rt.Start(t, NewController)}
}

func (r running) create(t *testing.T, b *eventingv1.Broker) {
	t.Helper()
	if _, err := client.Get(r.Ctx).EventingV1().Brokers(b.Namespace).Create(r.Ctx, b, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (r running) update(t *testing.T, b *eventingv1.Broker) {
	t.Helper()
	if _, err := client.Get(r.Ctx).EventingV1().Brokers(b.Namespace).Update(r.Ctx, b, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func theirs(b *eventingv1.Broker) {
	b.Annotations["eventing.knative.dev/broker.class"] = "MTChannelBasedBroker"
}

func TestWhatMakesTheControllerLookAtABroker(t *testing.T) {
	r := start(t)
	r.create(t, rt.Broker(ns, "theirs", "", theirs))
	r.create(t, rt.Broker(ns, "a", FinalizerName))
	r.Expect(t, "a new Broker", "shop/a")
	r.create(t, rt.Broker(ns, "b", FinalizerName))
	r.Expect(t, "a new Broker", "shop/b")
	r.update(t, rt.Broker(ns, "a", FinalizerName, func(b *eventingv1.Broker) { b.Generation = 2 }))
	r.Expect(t, "a change", "shop/a")

	stream := func(kind routing.Kind, name string) routing.StreamName {
		return routing.StreamName{Kind: kind, Namespace: ns, Name: name}
	}
	r.Plane.Change(served.Change{
		Streams: []routing.StreamName{stream(routing.Broker, "b"), stream(routing.Channel, "c")},
		Removed: []routing.StreamName{stream(routing.Broker, "a")},
		Routes:  []served.RouteRef{{Stream: stream(routing.Broker, "b"), ID: "trigger/shop/t/uid"}},
	})
	r.Expect(t, "a change of the data plane", "shop/a", "shop/b")
	r.Plane.Change(served.Change{All: true})
	r.Expect(t, "a data plane that comes or goes", "shop/a", "shop/b")

	r.Config.OnChange(rt.ConfigMap("knative-testing", "config-features", map[string]string{"transport-encryption": "strict"}))
	r.Expect(t, "a change of config-features", "shop/a", "shop/b")
	r.Config.OnChange(rt.ConfigMap("knative-testing", "config-br-defaults", map[string]string{"default-br-config": brDefaults}))
	r.Expect(t, "a change of config-br-defaults", "shop/a", "shop/b")
	r.Config.OnChange(rt.ConfigMap("knative-testing", "config-br-defaults", map[string]string{"default-br-config": "{"}))
	r.Expect(t, "a mistake in config-br-defaults")
}

// What the controller makes of a Broker, with all that it was put together of.
func TestControllerReconciles(t *testing.T) {
	r := start(t)
	r.Plane.Say(served.Verdict{State: served.Serving})
	r.create(t, rt.Broker(ns, name, FinalizerName, func(b *eventingv1.Broker) { b.Finalizers = nil }))
	r.Expect(t, "a new Broker", key)
	if err := r.Reconcile(t, key); err != nil {
		t.Fatal(err)
	}
	var finalizers string
	for _, action := range fakeclient.Get(r.Ctx).Actions() {
		if patch, ok := action.(clientgotesting.PatchAction); ok {
			finalizers = string(patch.GetPatch())
		}
	}
	b, err := client.Get(r.Ctx).EventingV1().Brokers(ns).Get(r.Ctx, name, metav1.GetOptions{})
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
