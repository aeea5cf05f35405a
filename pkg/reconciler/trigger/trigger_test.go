package trigger

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	triggerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/trigger"
	"knative.dev/eventing/pkg/duck"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/client/injection/ducks/duck/v1/source"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	rtesting "knative.dev/pkg/reconciler/testing"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/reconciler/dataplane/dataplanetest"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

const (
	ns         = "shop"
	name       = "on-order"
	key        = ns + "/" + name
	brokerName = "orders"
)

// row is a reconciliation with what it meets.
type row struct {
	rt.Row
	plane *dataplanetest.Plane
}

func (r row) run(t *testing.T) {
	t.Helper()
	t.Run(r.Name, func(t *testing.T) {
		t.Parallel()
		if r.plane == nil {
			r.plane = dataplanetest.All(served.Serving, "")
		}
		r.Name, r.Key = "first", key
		r.Run(t, func(ctx context.Context, w *rt.World) controller.Reconciler {
			rec := &Reconciler{plane: r.plane}
			rec.resolver = resolver.NewURIResolverFromTracker(ctx, &rtesting.FakeTracker{})
			rec.sources = duck.NewListableTrackerFromTracker(ctx, source.Get, &rtesting.FakeTracker{})
			l := &linker{brokers: w.Brokers, features: w.Features}
			return newGuard(triggerreconciler.NewReconciler(ctx, logging.FromContext(ctx), w.Eventing, w.Triggers, w.Recorder, rec,
				controller.Options{ConfigStore: w.Features}), l, w.Triggers, w.Eventing.EventingV1())
		})
	})
}

func objects(o ...runtime.Object) []runtime.Object { return o }

// broker is one that is ready.
func broker(edits ...func(*eventingv1.Broker)) *eventingv1.Broker {
	ready := func(b *eventingv1.Broker) {
		b.Status.Conditions = duckv1.Conditions{rt.Condition("Ready", "True", "", "")}
	}
	return rt.Broker(ns, brokerName, "", append([]func(*eventingv1.Broker){ready}, edits...)...)
}

func theirs(b *eventingv1.Broker) {
	b.Annotations["eventing.knative.dev/broker.class"] = "MTChannelBasedBroker"
}

func unready(status corev1.ConditionStatus, reason, message string) func(*eventingv1.Broker) {
	return func(b *eventingv1.Broker) {
		b.Status.Conditions = duckv1.Conditions{rt.Condition("Ready", status, reason, message)}
	}
}

func trigger(edits ...func(*eventingv1.Trigger)) *eventingv1.Trigger {
	return rt.Trigger(ns, name, brokerName, edits...)
}

// ready are the conditions of a Trigger of which all is well.
var ready = []apis.Condition{
	rt.Condition("BrokerReady", "True", "", ""),
	rt.Condition("DeadLetterSinkResolved", "True", "DeadLetterSinkNotConfigured", "No dead letter sink is configured."),
	rt.Condition("DependencyReady", "True", "", ""),
	rt.Condition("OIDCIdentityCreated", "True", "OIDCDisabled", ""),
	rt.Condition("Ready", "True", "", ""),
	rt.Condition("SubscriberResolved", "True", "", ""),
	rt.Condition("SubscriptionReady", "True", "", ""),
}

// waiting are the conditions of a Trigger that nothing is known about.
var waiting = []apis.Condition{
	rt.Condition("BrokerReady", "Unknown", "", ""),
	rt.Condition("DeadLetterSinkResolved", "Unknown", "", ""),
	rt.Condition("DependencyReady", "Unknown", "", ""),
	rt.Condition("OIDCIdentityCreated", "Unknown", "", ""),
	rt.Condition("Ready", "Unknown", "", ""),
	rt.Condition("SubscriberResolved", "Unknown", "", ""),
	rt.Condition("SubscriptionReady", "Unknown", "", ""),
}

// unreconciled gives a Trigger a status that says nothing but conditions.
func unreconciled(edits ...apis.Condition) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) {
		t.Status.ObservedGeneration = t.Generation
		t.Status.Conditions = rt.Conditions(waiting, edits...)
	}
}

// reconciled gives a Trigger the status of a ready one, except for conditions.
func reconciled(edits ...apis.Condition) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) {
		t.Status.SubscriberURI = serviceURL("subscriber")
		t.Status.ObservedGeneration = t.Generation
		t.Status.Conditions = rt.Conditions(ready, edits...)
	}
}

func failing(t apis.ConditionType, status corev1.ConditionStatus, reason, message string) func(*eventingv1.Trigger) {
	return reconciled(rt.Condition(t, status, reason, message), rt.Condition("Ready", status, reason, message))
}

// noBroker are the conditions that a missing Broker sets.
func noBroker(reason, message string) []apis.Condition {
	return []apis.Condition{
		rt.Condition("BrokerReady", "False", reason, message), rt.Condition("Ready", "False", reason, message),
		rt.Condition("SubscriptionReady", "Unknown", reason, message),
	}
}

func serviceURL(name string) *apis.URL { return apis.HTTP(name + "." + ns + ".svc.cluster.local") }

func annotated(key, value string) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) { t.Annotations = map[string]string{key: value} }
}

func generation(g int64) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) { t.Generation = g }
}

func referring(namespace string) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) {
		t.Spec.Broker = ""
		t.Spec.BrokerRef = &duckv1.KReference{
			APIVersion: "eventing.knative.dev/v1", Kind: "Broker", Namespace: namespace, Name: brokerName,
		}
	}
}

func TestTriggersBroker(t *testing.T) {
	const missing = `Broker "orders" does not exist`
	subscriber := rt.Service(ns, "subscriber")
	elsewhere := func(b *eventingv1.Broker) { b.Namespace = "hub" }
	deleted := func(b *eventingv1.Broker) {
		now := metav1.Now()
		b.DeletionTimestamp, b.Finalizers = &now, []string{"leat.brokers.eventing.knative.dev"}
	}
	flag := map[string]string{"cross-namespace-event-links": "enabled"}
	off := `spec.brokerRef is a Broker of the namespace "hub", but the feature cross-namespace-event-links is not enabled`
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "there is no Trigger",
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "is of another class",
			Objects: objects(trigger(generation(2)), broker(theirs), subscriber),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "does not exist yet",
			Objects:           objects(trigger(), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(unreconciled(noBroker("BrokerDoesNotExist", missing)...))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "does not exist any more",
			Objects:           objects(trigger(reconciled()), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled(noBroker("BrokerDoesNotExist", missing)...))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "is there again",
			Objects:           objects(trigger(reconciled(noBroker("BrokerDoesNotExist", missing)...)), broker(), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled())),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "is being deleted",
			Objects: objects(trigger(reconciled()), broker(deleted), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled(
				noBroker("BrokerDeleted", `Broker "orders" is being deleted`)...))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "is not ready, for which nothing else waits",
			Objects: objects(trigger(), broker(unready("False", "NoWay", "100% sure")), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled(
				rt.Condition("BrokerReady", "False", "NoWay", "100% sure"), rt.Condition("Ready", "False", "NoWay", "100% sure")))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "may become ready",
			Objects: objects(trigger(), broker(unready("Unknown", "Soon", "so 5%d")), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled(
				rt.Condition("BrokerReady", "Unknown", "Soon", "so 5%d"), rt.Condition("Ready", "Unknown", "Soon", "so 5%d")))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "has no status yet",
			Objects: objects(trigger(), broker(func(b *eventingv1.Broker) { b.Status.Conditions = nil }), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("BrokerReady", "Unknown", "BrokerNotConfigured",
				"Broker has not yet been reconciled."))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "by a reference without a namespace",
			Objects:           objects(trigger(referring("")), broker(), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(referring(""), reconciled())),
		}}},
		{Row: rt.Row{Features: flag, TableRow: rtesting.TableRow{
			Name:              "of another namespace",
			Objects:           objects(trigger(referring("hub")), broker(elsewhere), broker(theirs), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(referring("hub"), reconciled())),
		}}},
		{Row: rt.Row{Features: flag, TableRow: rtesting.TableRow{
			Name:              "of another namespace does not exist",
			Objects:           objects(trigger(referring("hub")), broker(), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(referring("hub"), unreconciled(noBroker("BrokerDoesNotExist", missing)...))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "of another namespace, which is not enabled",
			Objects: objects(trigger(referring("hub")), broker(elsewhere), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(referring("hub"),
				unreconciled(noBroker("CrossNamespaceEventLinksDisabled", off)...))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "of another namespace, which is not enabled, and another class",
			Objects: objects(trigger(referring("hub")), broker(elsewhere, theirs), subscriber),
		}}},
	} {
		r.run(t)
	}
}

func TestTriggerAsksTheDataPlane(t *testing.T) {
	const (
		notYet  = "The data plane has not been asked yet."
		noRoute = "The data plane does not deliver to it yet."
	)
	world := func(t *eventingv1.Trigger) []runtime.Object {
		return objects(t, broker(), rt.Service(ns, "subscriber"))
	}
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that serves it",
			Objects:           world(trigger()),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled())),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "that serves it still",
			Objects: world(trigger(reconciled())),
		}}},
		{plane: dataplanetest.All(served.Pending, noRoute), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that does not serve it yet",
			Objects:           world(trigger()),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("SubscriptionReady", "Unknown", "NotServedYet", noRoute))),
		}}},
		{plane: dataplanetest.All(served.Away, "100% gone"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that is away",
			Objects:           world(trigger(reconciled())),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("SubscriptionReady", "Unknown", "DataPlaneUnavailable", "100% gone"))),
		}}},
		{plane: dataplanetest.All(served.Failed, "its filter is wrong"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that cannot do what it says",
			Objects:           world(trigger(reconciled())),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("SubscriptionReady", "False", "NotServed", "its filter is wrong"))),
			WantEvents:        []string{"Warning NotServed its filter is wrong"},
		}}},
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "that has not been asked, about a Trigger that is as it was",
			Objects: world(trigger(reconciled())),
		}}},
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that has not been asked, about a new Trigger",
			Objects:           world(trigger()),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("SubscriptionReady", "Unknown", "NotServedYet", notYet))),
		}}},
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that has not been asked, about a Trigger that has changed",
			Objects:           world(trigger(reconciled(), generation(2))),
			WantStatusUpdates: rt.StatusUpdate(trigger(generation(2), failing("SubscriptionReady", "Unknown", "NotServedYet", notYet))),
		}}},
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that has not been asked, about a Trigger whose subscriber has moved",
			Objects:           world(trigger(reconciled(), func(t *eventingv1.Trigger) { t.Status.SubscriberURI = serviceURL("elsewhere") })),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("SubscriptionReady", "Unknown", "NotServedYet", notYet))),
		}}},
	} {
		r.run(t)
	}
}

// The data plane reads the status after it is written: the route that is asked
// about is the one that it then builds.
func TestTriggerAsksForTheRouteOfItsNewStatus(t *testing.T) {
	described := func(t *eventingv1.Trigger) {
		annotated("leat.dev/max-in-flight", "7")(t)
		t.Spec.Filters = []eventingv1.SubscriptionsAPIFilter{{CESQL: "type = 'a'"}}
		t.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: serviceURL("dead")}}
	}
	sink := func(t *eventingv1.Trigger) { t.Status.DeadLetterSinkURI = serviceURL("dead") }
	want := trigger(described, reconciled(rt.Condition("DeadLetterSinkResolved", "True", "", "")), sink)
	options := func(b *eventingv1.Broker) {
		b.Status.Annotations = map[string]string{"leat.dev/delivery-order": "ordered"}
	}
	streams, problems := build.Streams(build.Input{
		Brokers: []*eventingv1.Broker{broker(options)}, Triggers: []*eventingv1.Trigger{want},
	}, build.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	route := streams[routing.StreamName{Kind: routing.Broker, Namespace: ns, Name: brokerName}].Routes[0]
	plane := &dataplanetest.Plane{}
	plane.SayOfRoutes(func(uid string, r *routing.Route) served.Verdict {
		if uid != "orders-uid" || r.Fingerprint() != route.Fingerprint() {
			t.Errorf("asked about %+v of %q,\nwant %+v of the Broker's UID", *r, uid, *route)
		}
		return served.Verdict{State: served.Serving}
	})
	row{plane: plane, Row: rt.Row{TableRow: rtesting.TableRow{
		Name:              "asked",
		Objects:           objects(trigger(described), broker(options), rt.Service(ns, "subscriber")),
		WantStatusUpdates: rt.StatusUpdate(want),
	}}}.run(t)
}

func TestMistakesInOptionsOfTrigger(t *testing.T) {
	wrong := annotated("leat.dev/max-in-flight", "lots")
	_, problems := build.Streams(build.Input{
		Brokers: []*eventingv1.Broker{broker()}, Triggers: []*eventingv1.Trigger{trigger(wrong, reconciled())},
	}, build.Options{})
	if len(problems) != 1 {
		t.Fatalf("max-in-flight of lots has the problems %v", problems)
	}
	row{Row: rt.Row{TableRow: rtesting.TableRow{
		Name:    "told, but ready",
		Objects: objects(trigger(wrong), broker(), rt.Service(ns, "subscriber")),
		WantStatusUpdates: rt.StatusUpdate(trigger(wrong,
			reconciled(rt.Condition("SubscriptionReady", "True", "OptionIgnored", problems[0].Reason)))),
		WantEvents: []string{"Warning OptionIgnored " + problems[0].Reason},
	}}}.run(t)
}

func TestAuthenticationOfTrigger(t *testing.T) {
	const message = "The feature authentication-oidc is enabled, but Leat does not tell subscribers who it is."
	account := "a"
	row{Row: rt.Row{Features: map[string]string{"authentication-oidc": "enabled"}, TableRow: rtesting.TableRow{
		Name: "is not supported",
		Objects: objects(trigger(reconciled(), func(t *eventingv1.Trigger) {
			t.Status.Auth = &duckv1.AuthStatus{ServiceAccountName: &account}
		}), broker(), rt.Service(ns, "subscriber")),
		WantStatusUpdates: rt.StatusUpdate(trigger(failing("OIDCIdentityCreated", "False", "AuthenticationNotSupported", message))),
		WantEvents:        []string{"Warning AuthenticationNotSupported " + message},
	}}}.run(t)
}
