package channel

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	eventingclient "knative.dev/eventing/pkg/client/injection/client"
	"knative.dev/pkg/apis"
	kubeclient "knative.dev/pkg/client/injection/kube/client"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	leatclient "leat.dev/leat/pkg/client/injection/client"
	channelinformer "leat.dev/leat/pkg/client/injection/informers/messaging/v1alpha1/leatchannel"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"

	// The fakes of what the controller finds in its context.
	_ "knative.dev/eventing/pkg/client/injection/informers/messaging/v1/subscription/fake"
	_ "knative.dev/pkg/client/injection/ducks/duck/v1/addressable/fake"
	_ "knative.dev/pkg/client/injection/kube/client/fake"
	_ "knative.dev/pkg/client/injection/kube/informers/core/v1/service/fake"
	_ "knative.dev/pkg/injection/clients/dynamicclient/fake"

	_ "leat.dev/leat/pkg/client/injection/informers/messaging/v1alpha1/leatchannel/fake"
)

type running struct{ rt.Running }

func start(t *testing.T) running {
	t.Helper()
	return running{rt.Start(t, NewController)}
}

// create makes a channel, and takes it from the queue.
func (r running) create(t *testing.T, namespace, name string, edits ...func(*v1alpha1.LeatChannel)) {
	t.Helper()
	c := channel(edits...)
	c.Namespace, c.Name = namespace, name
	if _, err := leatclient.Get(r.Ctx).MessagingV1alpha1().LeatChannels(namespace).Create(r.Ctx, c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	rt.Eventually(t, "the channel is in the cache", func() bool {
		_, ok, _ := channelinformer.Get(r.Ctx).Informer().GetStore().Get(c)
		return ok
	})
	r.Expect(t, "a channel", namespace+"/"+name)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDataPlaneMakesTheControllerLookAtAChannel(t *testing.T) {
	r := start(t)
	r.create(t, ns, "a")
	r.create(t, ns, "b")
	r.create(t, "hub", "a")
	stream := func(kind routing.Kind, namespace, name string) routing.StreamName {
		return routing.StreamName{Kind: kind, Namespace: namespace, Name: name}
	}
	r.Plane.Change(served.Change{
		Streams: []routing.StreamName{stream(routing.Broker, ns, "a"), stream(routing.Channel, ns, "b")},
		Removed: []routing.StreamName{stream(routing.Channel, "hub", "gone")},
		Routes: []served.RouteRef{
			{Stream: stream(routing.Channel, ns, "a"), ID: "subscription/shop/x/uid"},
			{Stream: stream(routing.Broker, "hub", "a"), ID: "trigger/hub/x/uid"},
		},
	})
	r.Expect(t, "a stream, a route and a removal", "hub/gone", "shop/a", "shop/b")
	r.Plane.Change(served.Change{All: true})
	r.Expect(t, "a data plane that comes or goes", "hub/a", "shop/a", "shop/b")
	r.Config.OnChange(rt.ConfigMap("knative-testing", "config-features", map[string]string{"transport-encryption": "strict"}))
	r.Expect(t, "a change of config-features", "hub/a", "shop/a", "shop/b")
}

func TestServiceMakesTheControllerLookAtItsChannel(t *testing.T) {
	r := start(t)
	r.create(t, ns, "jobs")
	r.create(t, "hub", "jobs")
	services := kubeclient.Get(r.Ctx).CoreV1().Services(ns)
	foreign := rt.Service(ns, "jobs-kn-channel")
	_, err := services.Create(r.Ctx, foreign, metav1.CreateOptions{})
	must(t, err)
	r.Expect(t, "a Service of its name", "shop/jobs")
	_, err = services.Create(r.Ctx, rt.Service(ns, "jobs"), metav1.CreateOptions{})
	must(t, err)
	foreign.Spec.ExternalName = "elsewhere"
	_, err = services.Update(r.Ctx, foreign, metav1.UpdateOptions{})
	must(t, err)
	r.Expect(t, "an update of it", "shop/jobs")
	must(t, services.Delete(r.Ctx, foreign.Name, metav1.DeleteOptions{}))
	r.Expect(t, "its end", "shop/jobs")
}

func TestSubscriptionMakesTheControllerLookAtItsChannels(t *testing.T) {
	r := start(t)
	r.create(t, ns, "jobs", subscribed("a"))
	r.create(t, "hub", "jobs", subscribed("b", func(s *spec) { s.UID = "" }))
	r.create(t, "hub", "other", subscribed("a"))
	shop := eventingclient.Get(r.Ctx).MessagingV1().Subscriptions(ns)
	_, err := shop.Create(r.Ctx, subscription("b"), metav1.CreateOptions{})
	must(t, err)
	a, err := shop.Create(r.Ctx, subscription("a"), metav1.CreateOptions{})
	must(t, err)
	r.Expect(t, "a Subscription", "hub/other", "shop/jobs")

	b := subscription("b")
	b.Namespace, b.UID = "hub", "another"
	_, err = eventingclient.Get(r.Ctx).MessagingV1().Subscriptions("hub").Create(r.Ctx, b, metav1.CreateOptions{})
	must(t, err)
	r.Expect(t, "a Subscription of a subscriber without a UID", "hub/jobs")

	a.Status.PhysicalSubscription.SubscriberURI = apis.HTTP("a") // of no consequence
	a.Status.MarkReferencesResolved()
	a, err = shop.Update(r.Ctx, a, metav1.UpdateOptions{})
	must(t, err)
	for what, change := range map[string]func(){
		"its spec":           func() { a.Generation++ },
		"its annotations":    func() { a.Annotations = map[string]string{"leat.dev/max-in-flight": "1"} },
		"a broken reference": func() { a.Status.MarkReferencesNotResolved("No", "not there") },
	} {
		change()
		a, err = shop.Update(r.Ctx, a, metav1.UpdateOptions{})
		must(t, err)
		r.Expect(t, what, "hub/other", "shop/jobs")
	}
	must(t, shop.Delete(r.Ctx, "a", metav1.DeleteOptions{}))
	r.Expect(t, "its end", "hub/other", "shop/jobs")
}

// What the reconciler finds a route by is what build wrote into its ID.
func TestRouteKeyReadsWhatBuildWrites(t *testing.T) {
	c := channel(subscribed("a"), subscribed("b", func(s *spec) { s.UID = "" }), subscribed("c", func(s *spec) { s.UID = "x/y" }))
	streams, _ := build.Streams(build.Input{
		Channels: []*v1alpha1.LeatChannel{c}, Subscriptions: []*messagingv1.Subscription{subscription("a")},
	}, build.Options{})
	var got, want []string
	for _, route := range streams[streamName(c)].Routes {
		got = append(got, routeKey(route))
	}
	for i := range c.Spec.Subscribers {
		want = append(want, subscriberKey(&c.Spec.Subscribers[i]))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("routes have the keys %q, subscribers %q", got, want)
	}
}
