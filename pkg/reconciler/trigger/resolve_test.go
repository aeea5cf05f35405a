package trigger

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/ptr"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/reconciler/dataplane"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
)

var (
	coreService = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
	brokerKind  = eventingv1.SchemeGroupVersion.WithKind("Broker")
	channelKind = messagingv1.SchemeGroupVersion.WithKind("Channel")
)

func ref(kind schema.GroupVersionKind, namespace, name string) duckv1.Destination {
	return duckv1.Destination{Ref: &duckv1.KReference{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: namespace, Name: name,
	}}
}

func to(d duckv1.Destination) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) { t.Spec.Subscriber = d }
}

func at(url string, certs, audience *string) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) {
		u, err := apis.ParseURL(url)
		if err != nil {
			panic(err)
		}
		t.Status.SubscriberURI, t.Status.SubscriberCACerts, t.Status.SubscriberAudience = u, certs, audience
	}
}

func nowhere(t *eventingv1.Trigger) { t.Status.SubscriberURI = nil }

func fails(verb, resource string, err error) clientgotesting.ReactionFunc {
	return func(action clientgotesting.Action) (bool, runtime.Object, error) {
		return action.GetVerb() == verb && action.GetResource().Resource == resource, nil, err
	}
}

func TestSubscriberOfTrigger(t *testing.T) {
	pem, aud := ptr.String("pem"), ptr.String("aud")
	relative := ref(rt.KnativeService, ns, "there")
	relative.URI = &apis.URL{Path: "/orders"}
	absolute := duckv1.Destination{URI: apis.HTTP("there.example"), CACerts: pem, Audience: aud}
	resolved := func(what string, d duckv1.Destination, url string, certs, audience *string, there ...runtime.Object) row {
		return row{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              what,
			Objects:           append(objects(trigger(to(d)), broker()), there...),
			WantStatusUpdates: rt.StatusUpdate(trigger(to(d), reconciled(), at(url, certs, audience))),
		}}}
	}
	for _, r := range []row{
		resolved("a Service, in the Trigger's namespace if the ref has none", ref(coreService, "", "there"),
			"http://there.shop.svc.cluster.local", nil, nil, rt.Service(ns, "there")),
		resolved("a Service of another namespace", ref(coreService, "hub", "there"),
			"http://there.hub.svc.cluster.local", nil, nil, rt.Service("hub", "there"), rt.Service(ns, "there")),
		resolved("a Knative Service", ref(rt.KnativeService, ns, "there"),
			"https://there.example/x", pem, aud, rt.Addressable(rt.KnativeService, ns, "there", "https://there.example/x")),
		resolved("a channel", ref(channelKind, ns, "there"),
			"http://there.example/x", pem, aud, rt.Addressable(channelKind, ns, "there", "http://there.example/x")),
		resolved("a Broker", ref(brokerKind, ns, "there"),
			"http://there.example/x", pem, aud, rt.Addressable(brokerKind, ns, "there", "http://there.example/x")),
		resolved("a URI relative to a ref", relative,
			"https://there.example/orders", pem, aud, rt.Addressable(rt.KnativeService, ns, "there", "https://there.example/x")),
		resolved("a URI", absolute, "http://there.example", pem, aud),
	} {
		r.run(t)
	}
}

func TestUnresolvedSubscriberOfTrigger(t *testing.T) {
	busy := []clientgotesting.ReactionFunc{fails("list", "services", apierrors.NewServiceUnavailable("busy"))}
	const busyMessage = "failed to get lister for /v1, Resource=services: busy"
	waits := func(message string) apis.Condition {
		return rt.Condition("SubscriptionReady", "Unknown", "Unresolved", "Nothing is delivered: the subscriber cannot be used: "+message)
	}
	unresolved := func(what string, d duckv1.Destination, message string, there ...runtime.Object) row {
		return row{Row: rt.Row{Again: dataplane.Later, TableRow: rtesting.TableRow{
			Name:    what,
			Objects: append(objects(trigger(to(d), reconciled(), at("http://before.example", ptr.String("pem"), nil)), broker()), there...),
			WantStatusUpdates: rt.StatusUpdate(trigger(to(d), failing("SubscriberResolved", "False", "Unresolved", message), nowhere,
				func(t *eventingv1.Trigger) { t.Status.Conditions = rt.Conditions(t.Status.Conditions, waits(message)) })),
			WantEvents: []string{"Warning Unresolved " + message},
		}}}
	}
	noCRD := unresolved("a kind that does not exist", ref(rt.KnativeService, ns, "there"),
		`failed to get lister for serving.knative.dev/v1, Resource=services: services.serving.knative.dev "" not found`)
	noCRD.WithReactors = []clientgotesting.ReactionFunc{
		fails("list", "services", apierrors.NewNotFound(schema.GroupResource{Group: "serving.knative.dev", Resource: "services"}, "")),
	}
	for _, r := range []row{
		unresolved("no such Service", ref(coreService, ns, "there"),
			`failed to get object shop/there: services "there" not found`, rt.Service("hub", "there")),
		unresolved("no address", ref(rt.KnativeService, ns, "there"), "address not set for Kind = Service, Namespace = shop, "+
			"Name = there, APIVersion = serving.knative.dev/v1, Group = , Address = ", rt.Addressable(rt.KnativeService, ns, "there", "")),
		unresolved("a relative URI alone", duckv1.Destination{URI: &apis.URL{Path: "/orders"}},
			`URI is not absolute (both scheme and host should be non-empty): "/orders"`),
		unresolved("nothing", duckv1.Destination{}, "destination missing Ref and URI, expected at least one"),
		noCRD,
		{Row: rt.Row{Again: dataplane.Soon, TableRow: rtesting.TableRow{
			Name:         "the API server is busy",
			Objects:      objects(trigger(reconciled()), broker()),
			WithReactors: busy,
		}}},
		{Row: rt.Row{Again: dataplane.Soon, Unsettled: true, TableRow: rtesting.TableRow{
			Name:         "the API server is busy, and the Trigger has changed",
			Objects:      objects(trigger(reconciled(), generation(2)), broker()),
			WithReactors: busy,
			WantStatusUpdates: rt.StatusUpdate(trigger(generation(2),
				failing("SubscriberResolved", "Unknown", "TryingAgain", busyMessage))),
		}}},
		{Row: rt.Row{Again: dataplane.Soon, TableRow: rtesting.TableRow{
			Name:         "the API server is busy, and nothing is known yet",
			Objects:      objects(trigger(), broker()),
			WithReactors: busy,
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("SubscriberResolved", "Unknown", "TryingAgain", busyMessage), nowhere,
				func(t *eventingv1.Trigger) {
					t.Status.Conditions = rt.Conditions(t.Status.Conditions, waits(busyMessage))
				})),
		}}},
	} {
		r.run(t)
	}
}

// All mistakes of a Trigger are told at once.
func TestAllMistakesOfTrigger(t *testing.T) {
	wrong := func(t *eventingv1.Trigger) {
		to(duckv1.Destination{})(t)
		annotated("knative.dev/dependency", "no JSON")(t)
		t.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: &apis.URL{Path: "/x"}}}
	}
	const (
		nothing  = "destination missing Ref and URI, expected at least one"
		relative = `URI is not absolute (both scheme and host should be non-empty): "/x"`
		noJSON   = "The annotation knative.dev/dependency is no reference to an object: invalid character 'o' in literal null (expecting 'u')"
		waits    = "Nothing is delivered: the subscriber cannot be used: " + nothing
	)
	row{Row: rt.Row{Again: dataplane.Later, TableRow: rtesting.TableRow{
		Name:    "told",
		Objects: objects(trigger(wrong), broker(unready("False", "NotYet", "wait"))),
		WantStatusUpdates: rt.StatusUpdate(trigger(wrong, nowhere, unreconciled(
			rt.Condition("BrokerReady", "False", "NotYet", "wait"), rt.Condition("Ready", "False", "NotYet", "wait"),
			rt.Condition("SubscriberResolved", "False", "Unresolved", nothing),
			rt.Condition("DeadLetterSinkResolved", "False", "Unresolved", relative),
			rt.Condition("DependencyReady", "False", "ReferenceError", noJSON),
			rt.Condition("OIDCIdentityCreated", "True", "OIDCDisabled", ""),
			rt.Condition("SubscriptionReady", "Unknown", "Unresolved", waits),
		))),
		WantEvents: []string{"Warning Unresolved " + nothing, "Warning Unresolved " + relative, "Warning ReferenceError " + noJSON},
	}}}.run(t)
}

func TestDeadLetterSinkOfTrigger(t *testing.T) {
	resolved := rt.Condition("DeadLetterSinkResolved", "True", "", "")
	own := func(t *eventingv1.Trigger) {
		d := ref(coreService, "", "dead")
		t.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &d}
	}
	sunk := func(name string) func(*eventingv1.Trigger) {
		return func(t *eventingv1.Trigger) {
			t.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{DeadLetterSinkURI: serviceURL(name)}
		}
	}
	brokers := func(b *eventingv1.Broker) {
		d := ref(coreService, ns, "brokers-dead")
		b.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &d}
	}
	brokersResolved := func(b *eventingv1.Broker) {
		brokers(b)
		b.Status.DeadLetterSinkURI = serviceURL("brokers-dead")
		b.Status.DeadLetterSinkCACerts, b.Status.DeadLetterSinkAudience = ptr.String("pem"), ptr.String("aud")
	}
	brokersFailed := func(b *eventingv1.Broker) {
		brokers(b)
		b.Status.Conditions = append(b.Status.Conditions, rt.Condition("DeadLetterSinkResolved", "False", "Unresolved", "100% no"))
	}
	const gone = `failed to get object shop/dead: services "dead" not found`
	waits := func(t *eventingv1.Trigger, message string) {
		t.Status.Conditions = rt.Conditions(t.Status.Conditions, rt.Condition("SubscriptionReady", "Unknown", "Unresolved",
			"Nothing is delivered: the dead letter sink cannot be used: "+message))
	}
	subscriber := rt.Service(ns, "subscriber")
	const failed = `The dead letter sink of Broker "orders" is not resolved: 100% no`
	const notYet = `The dead letter sink of Broker "orders" is not resolved yet.`
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "its own, before the Broker's",
			Objects:           objects(trigger(own), broker(brokersResolved), subscriber, rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(trigger(own, reconciled(resolved), sunk("dead"))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "the Broker's",
			Objects: objects(trigger(), broker(brokersResolved), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled(resolved), sunk("brokers-dead"), func(t *eventingv1.Trigger) {
				t.Status.DeadLetterSinkCACerts, t.Status.DeadLetterSinkAudience = ptr.String("pem"), ptr.String("aud")
			})),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "none any more",
			Objects:           objects(trigger(reconciled(resolved), sunk("dead")), broker(), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(reconciled())),
		}}},
		{Row: rt.Row{Again: dataplane.Later, TableRow: rtesting.TableRow{
			Name:    "its own, which is gone",
			Objects: objects(trigger(own, reconciled(resolved), sunk("dead")), broker(brokersResolved), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(own, failing("DeadLetterSinkResolved", "False", "Unresolved", gone),
				func(t *eventingv1.Trigger) { waits(t, gone) })),
			WantEvents: []string{"Warning Unresolved " + gone},
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "the Broker's, which is not resolved yet",
			Objects: objects(trigger(), broker(brokers), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("DeadLetterSinkResolved", "Unknown", "Unresolved", notYet),
				func(t *eventingv1.Trigger) { waits(t, "its URI is not resolved yet") })),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "the Broker's, which cannot be resolved",
			Objects: objects(trigger(), broker(brokersFailed), subscriber),
			WantStatusUpdates: rt.StatusUpdate(trigger(failing("DeadLetterSinkResolved", "False", "Unresolved", failed),
				func(t *eventingv1.Trigger) { waits(t, "100% no") })),
			WantEvents: []string{"Warning Unresolved " + failed},
		}}},
		{Row: rt.Row{Again: dataplane.Soon, TableRow: rtesting.TableRow{
			Name:         "its own, while the API server is busy",
			Objects:      objects(trigger(own, to(duckv1.Destination{URI: serviceURL("subscriber")}), reconciled(resolved), sunk("dead")), broker()),
			WithReactors: []clientgotesting.ReactionFunc{fails("list", "services", apierrors.NewTooManyRequests("busy", 1))},
		}}},
	} {
		r.run(t)
	}
}

func TestDependencyOfTrigger(t *testing.T) {
	const key = "knative.dev/dependency"
	depends := annotated(key, `{"kind":"PingSource","name":"ping","apiVersion":"sources.knative.dev/v1"}`)
	subscriber := rt.Service(ns, "subscriber")
	dependency := func(what string, status, reason, message string, there ...runtime.Object) row {
		r := row{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              what,
			Objects:           append(objects(trigger(depends), broker(), subscriber), there...),
			WantStatusUpdates: rt.StatusUpdate(trigger(depends, reconciled())),
		}}}
		if status != "True" {
			r.WantStatusUpdates = rt.StatusUpdate(trigger(depends, failing("DependencyReady", "Unknown", reason, message)))
		}
		if status == "False" {
			r.WantStatusUpdates = rt.StatusUpdate(trigger(depends, failing("DependencyReady", "False", reason, message)))
			r.WantEvents = []string{"Warning " + reason + " " + message}
		}
		return r
	}
	bare := object(rt.PingSource, "ping")
	notListed := dependency("cannot be listed", "Unknown", "ListerDoesNotExist", "Failed to get dependency: busy")
	notListed.WithReactors = []clientgotesting.ReactionFunc{fails("list", "pingsources", apierrors.NewServiceUnavailable("busy"))}
	notListed.Again = dataplane.Later
	for _, r := range []row{
		dependency("is ready", "True", "", "", rt.Source(ns, "ping", 2, "True")),
		dependency("is not ready", "False", "Because", "100% sure", rt.Source(ns, "ping", 2, "False")),
		dependency("may be ready", "Unknown", "Because", "100% sure", rt.Source(ns, "ping", 2, "Unknown")),
		dependency("says nothing", "Unknown", "DependencyNotConfigured", "Dependency has not yet been reconciled.", bare),
		dependency("has changed", "Unknown", "GenerationNotEqual",
			"The dependency's generation 3 is not the one that its status is about, 2.", rt.Source(ns, "ping", 3, "True")),
		dependency("does not exist in the Trigger's namespace", "False", "DependencyDoesNotExist",
			`Dependency does not exist: pingsources.sources.knative.dev "ping" not found`, rt.Source("hub", "ping", 2, "True")),
		notListed,
	} {
		r.run(t)
	}
}

func object(kind schema.GroupVersionKind, name string) runtime.Object {
	return rt.Addressable(kind, ns, name, "")
}
