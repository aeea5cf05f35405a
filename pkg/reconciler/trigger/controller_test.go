package trigger

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/client/injection/client"
	brokerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker"
	triggerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/trigger"
	"knative.dev/pkg/reconciler"

	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"

	// The fakes of what the controller finds in its context.
	_ "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker/fake"
	_ "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/trigger/fake"
	_ "knative.dev/pkg/client/injection/ducks/duck/v1/addressable/fake"
	_ "knative.dev/pkg/client/injection/ducks/duck/v1/source/fake"
	_ "knative.dev/pkg/client/injection/kube/client/fake"
	_ "knative.dev/pkg/injection/clients/dynamicclient/fake"
)

type running struct{ rt.Running }

func start(t *testing.T) running {
	t.Helper()
	return running{rt.Start(t, NewController)}
}

func (r running) createBroker(t *testing.T, b *eventingv1.Broker) {
	t.Helper()
	if _, err := client.Get(r.Ctx).EventingV1().Brokers(b.Namespace).Create(r.Ctx, b, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	rt.Eventually(t, "the Broker is in the cache", func() bool {
		_, ok, _ := brokerinformer.Get(r.Ctx).Informer().GetStore().Get(b)
		return ok
	})
}

func (r running) createTrigger(t *testing.T, namespace, name, broker string, edits ...func(*eventingv1.Trigger)) {
	t.Helper()
	trigger := rt.Trigger(namespace, name, broker, edits...)
	if _, err := client.Get(r.Ctx).EventingV1().Triggers(namespace).Create(r.Ctx, trigger, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatMakesTheControllerLookAtATrigger(t *testing.T) {
	r := start(t)
	r.createBroker(t, rt.Broker(ns, "theirs", "", theirs))
	r.createTrigger(t, ns, "of-theirs", "theirs")
	r.createTrigger(t, ns, "a", "orders")
	r.Expect(t, "a Trigger without a Broker", "shop/a")
	r.createBroker(t, rt.Broker(ns, "orders", ""))
	r.Expect(t, "its Broker", "shop/a")
	r.createTrigger(t, ns, "b", "orders")
	r.Expect(t, "a Trigger", "shop/b")
	r.createTrigger(t, "hub", "far", "", referring(ns))
	r.Expect(t, "a Trigger with a Broker of another namespace", "hub/far")
	r.createTrigger(t, "hub", "near", "orders")
	r.Expect(t, "a Trigger with a Broker of the same name", "hub/near")

	stream := func(kind routing.Kind, name string) routing.StreamName {
		return routing.StreamName{Kind: kind, Namespace: ns, Name: name}
	}
	r.Plane.Change(served.Change{
		Streams: []routing.StreamName{stream(routing.Channel, "orders")},
		Removed: []routing.StreamName{stream(routing.Broker, "orders")},
		Routes: []served.RouteRef{
			{Stream: stream(routing.Broker, "orders"), ID: "trigger/shop/b/b-uid"},
			{Stream: stream(routing.Channel, "orders"), ID: "subscription/shop/a/uid"},
			{Stream: stream(routing.Broker, "orders"), ID: "nonsense"},
		},
	})
	r.Expect(t, "a route", "shop/b")
	r.Plane.Change(served.Change{Streams: []routing.StreamName{stream(routing.Broker, "orders")}})
	r.Expect(t, "a stream", "hub/far", "shop/a", "shop/b")
	r.Plane.Change(served.Change{All: true})
	r.Expect(t, "a data plane that comes or goes", "hub/far", "hub/near", "shop/a", "shop/b")
	r.Config.OnChange(rt.ConfigMap("knative-testing", "config-features", map[string]string{"cross-namespace-event-links": "enabled"}))
	r.Expect(t, "a change of config-features", "hub/far", "hub/near", "shop/a", "shop/b")

	if err := client.Get(r.Ctx).EventingV1().Brokers(ns).Delete(r.Ctx, "orders", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.Expect(t, "the end of a Broker", "hub/far", "shop/a", "shop/b")
}

// What used to be ours comes through trackers still.
func TestControllerDoesNotTouchTriggersOfOtherClasses(t *testing.T) {
	r := start(t)
	r.createBroker(t, rt.Broker(ns, brokerName, "", theirs))
	r.createTrigger(t, ns, name, brokerName)
	if err := r.Reconciler.(reconciler.LeaderAware).Promote(reconciler.UniversalBucket(),
		func(reconciler.Bucket, types.NamespacedName) {}); err != nil {
		t.Fatal(err)
	}
	rt.Eventually(t, "the Trigger is in the cache", func() bool {
		_, err := triggerinformer.Get(r.Ctx).Lister().Triggers(ns).Get(name)
		return err == nil
	})
	if err := r.Reconciler.Reconcile(r.Ctx, key); err != nil {
		t.Fatal(err)
	}
	got, err := client.Get(r.Ctx).EventingV1().Triggers(ns).Get(r.Ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.Conditions != nil || got.Status.ObservedGeneration != 0 {
		t.Errorf("the Trigger of another class has the status %+v", got.Status)
	}
}

// A Broker finds its Triggers without looking at those of others.
func TestTriggersOfManyBrokers(t *testing.T) {
	r := start(t)
	const each = 20
	var all []string
	for broker := range 5 {
		for i := range each {
			name := fmt.Sprintf("t%d-%02d", broker, i)
			r.createTrigger(t, ns, name, fmt.Sprintf("broker-%d", broker))
			all = append(all, ns+"/"+name)
		}
	}
	r.Expect(t, "Triggers", all...)
	r.createBroker(t, rt.Broker(ns, "broker-3", ""))
	r.Expect(t, "one of five Brokers", all[3*each:4*each]...)
}

func TestRouteObjectReadsWhatBuildWrites(t *testing.T) {
	in := build.Input{Brokers: []*eventingv1.Broker{broker()}, Triggers: []*eventingv1.Trigger{trigger()}}
	streams, _ := build.Streams(in, build.Options{})
	r := start(t)
	for name, stream := range streams {
		for _, route := range stream.Routes {
			r.Plane.Change(served.Change{Routes: []served.RouteRef{{Stream: name, ID: route.ID}}})
		}
	}
	r.Expect(t, "a route of build's", key)
}
