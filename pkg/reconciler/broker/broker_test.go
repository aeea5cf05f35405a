package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	brokerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/broker"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/ptr"
	rtesting "knative.dev/pkg/reconciler/testing"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/reconciler/dataplane/dataplanetest"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

const (
	ns   = "shop"
	name = "orders"
	key  = ns + "/" + name
)

func init() { registerConditions() }

// row is a reconciliation with what it meets.
type row struct {
	rt.Row
	plane *dataplanetest.Plane
	// defaults is the content of config-br-defaults.
	defaults string
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
			rec := &Reconciler{plane: r.plane, kube: w.Kube}
			rec.resolver = resolver.NewURIResolverFromTracker(ctx, &rtesting.FakeTracker{})
			if r.defaults != "" {
				if err := rec.defaults.set(rt.ConfigMap("knative-eventing", "config-br-defaults",
					map[string]string{"default-br-config": r.defaults})); err != nil {
					t.Fatal(err)
				}
			}
			return brokerreconciler.NewReconciler(ctx, logging.FromContext(ctx), w.Eventing, w.Brokers, w.Recorder, rec,
				build.BrokerClass, controller.Options{ConfigStore: w.Features, FinalizerName: FinalizerName})
		})
	})
}

func broker(edits ...func(*eventingv1.Broker)) *eventingv1.Broker {
	return rt.Broker(ns, name, FinalizerName, edits...)
}

// ready are the conditions of a Broker of which all is well.
var ready = []apis.Condition{
	rt.Condition("Addressable", "True", "", ""),
	rt.Condition("ConfigReady", "True", "", ""),
	rt.Condition("DeadLetterSinkResolved", "True", "DeadLetterSinkNotConfigured", "No dead letter sink is configured."),
	rt.Condition("EventPoliciesReady", "True", "OIDCDisabled", `Feature "authentication-oidc" must be enabled to support Authorization`),
	rt.Condition("IngressReady", "True", "", ""),
	rt.Condition("Ready", "True", "", ""),
}

// reconciled gives a Broker the status of a ready one, except for conditions.
func reconciled(edits ...apis.Condition) func(*eventingv1.Broker) {
	return func(b *eventingv1.Broker) {
		scheme := "http"
		addr := duckv1.Addressable{Name: &scheme, URL: apis.HTTP("leat-ingress.knative-testing.svc.cluster.local")}
		addr.URL.Path = "/" + b.Namespace + "/" + b.Name
		b.Status.Address, b.Status.Addresses = &addr, []duckv1.Addressable{addr}
		b.Status.ObservedGeneration = b.Generation
		b.Status.Conditions = rt.Conditions(ready, edits...)
	}
}

func withDelivery(d *eventingduckv1.DeliverySpec) func(*eventingv1.Broker) {
	return func(b *eventingv1.Broker) { b.Spec.Delivery = d }
}

func annotated(annotations map[string]string) func(*eventingv1.Broker) {
	return func(b *eventingv1.Broker) {
		for k, v := range annotations {
			b.Annotations[k] = v
		}
	}
}

// statusAnnotated sets all annotations of the status.
func statusAnnotated(annotations map[string]string) func(*eventingv1.Broker) {
	return func(b *eventingv1.Broker) { b.Status.Annotations = annotations }
}

// failing is the conditions of a Broker of which one thing is not well.
func failing(t apis.ConditionType, status corev1.ConditionStatus, reason, message string) func(*eventingv1.Broker) {
	return reconciled(rt.Condition(t, status, reason, message), rt.Condition("Ready", status, reason, message))
}

func objects(o ...runtime.Object) []runtime.Object { return o }

func TestBroker(t *testing.T) {
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "there is none",
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "of another class is not touched",
			Objects: objects(broker(annotated(map[string]string{"eventing.knative.dev/broker.class": "MTChannelBasedBroker"}))),
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:    "gets a finalizer, an address and a status",
			Objects: objects(broker(func(b *eventingv1.Broker) { b.Finalizers, b.ResourceVersion = []string{"other"}, "7" })),
			WantPatches: []clientgotesting.PatchActionImpl{{
				Name:  name,
				Patch: []byte(`{"metadata":{"finalizers":["other","leat.brokers.eventing.knative.dev"],"resourceVersion":"7"}}`),
			}},
			WantStatusUpdates: rt.StatusUpdate(broker(reconciled(), func(b *eventingv1.Broker) {
				b.Finalizers, b.ResourceVersion = []string{"other"}, "7"
			})),
			WantEvents: []string{`Normal FinalizerUpdate Updated "orders" finalizers`},
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "becomes ready",
			Objects:           objects(broker()),
			WantStatusUpdates: rt.StatusUpdate(broker(reconciled())),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "that is as it should be is not written",
			Objects: objects(broker(reconciled(), statusAnnotated(map[string]string{"other.dev/x": "kept"}))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "of a new generation is observed",
			Objects:           objects(broker(reconciled(), func(b *eventingv1.Broker) { b.Generation = 2 })),
			WantStatusUpdates: rt.StatusUpdate(broker(func(b *eventingv1.Broker) { b.Generation = 2 }, reconciled())),
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:    "whose write meets a conflict is written again",
			Objects: objects(broker()),
			WithReactors: []clientgotesting.ReactionFunc{
				once(apierrors.NewConflict(schema.GroupResource{Resource: "brokers"}, name, errors.New("somebody was faster"))),
			},
			WantStatusUpdates: append(rt.StatusUpdate(broker(reconciled())), rt.StatusUpdate(broker(reconciled()))...),
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:              "that cannot be written is tried again",
			Objects:           objects(broker()),
			WithReactors:      []clientgotesting.ReactionFunc{rtesting.InduceFailure("update", "brokers")},
			WantErr:           true,
			WantStatusUpdates: rt.StatusUpdate(broker(reconciled())),
			WantEvents: []string{
				`Warning UpdateFailed Failed to update status for "orders": inducing failure for update brokers`,
			},
		}}},
	} {
		r.run(t)
	}
}

// once fails the first update.
func once(err error) clientgotesting.ReactionFunc {
	failed := false
	return func(action clientgotesting.Action) (bool, runtime.Object, error) {
		if action.GetVerb() != "update" || failed {
			return false, nil, nil
		}
		failed = true
		return true, nil, err
	}
}

func TestBrokerAsksTheDataPlane(t *testing.T) {
	const (
		notYet   = "The data plane has not been asked yet."
		noStream = "The data plane does not take events for it yet."
	)
	for _, r := range []row{
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that has not been asked",
			Objects:           objects(broker()),
			WantStatusUpdates: rt.StatusUpdate(broker(failing("IngressReady", "Unknown", "NotServedYet", notYet))),
		}}},
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "that has not been asked, about a Broker that is ready",
			Objects: objects(broker(reconciled())),
		}}},
		{plane: dataplanetest.All(served.Pending, noStream), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that does not serve it yet",
			Objects:           objects(broker(reconciled())),
			WantStatusUpdates: rt.StatusUpdate(broker(failing("IngressReady", "Unknown", "NotServedYet", noStream))),
		}}},
		{plane: dataplanetest.All(served.Away, "gone for 100% sure"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that is away",
			Objects:           objects(broker(reconciled())),
			WantStatusUpdates: rt.StatusUpdate(broker(failing("IngressReady", "Unknown", "DataPlaneUnavailable", "gone for 100% sure"))),
		}}},
		{plane: dataplanetest.All(served.Failed, "no"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that cannot",
			Objects:           objects(broker(reconciled())),
			WantStatusUpdates: rt.StatusUpdate(broker(failing("IngressReady", "False", "NotServed", "no"))),
			WantEvents:        []string{"Warning NotServed no"},
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that serves it now",
			Objects:           objects(broker(failing("IngressReady", "Unknown", "NotServedYet", noStream))),
			WantStatusUpdates: rt.StatusUpdate(broker(reconciled())),
		}}},
	} {
		r.run(t)
	}
}

func TestBrokerIsAskedAboutByNameAndUID(t *testing.T) {
	plane := &dataplanetest.Plane{}
	plane.SayOfStreams(func(got routing.StreamName, uid string) served.Verdict {
		if want := (routing.StreamName{Kind: routing.Broker, Namespace: ns, Name: name}); got != want || uid != "orders-uid" {
			t.Errorf("asked about %v, %q, want %v and the Broker's UID", got, uid, want)
		}
		return served.Verdict{State: served.Serving}
	})
	row{plane: plane, Row: rt.Row{TableRow: rtesting.TableRow{
		Name: "asked", Objects: objects(broker()), WantStatusUpdates: rt.StatusUpdate(broker(reconciled())),
	}}}.run(t)
}

// All mistakes are told at once, and Ready has the first of them.
func TestAllMistakesOfBroker(t *testing.T) {
	wrong := func(b *eventingv1.Broker) {
		configured("Kafka", ns, "x")(b)
		b.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: &apis.URL{Path: "/x"}}}
	}
	const kafka = "spec.config is a Kafka of example.dev/v1, but Leat takes its options from a ConfigMap of v1."
	const relative = `URI is not absolute (both scheme and host should be non-empty): "/x"`
	row{plane: dataplanetest.All(served.Failed, "no"), Row: rt.Row{Again: dataplane.Later, TableRow: rtesting.TableRow{
		Name:    "told",
		Objects: objects(broker(wrong)),
		WantStatusUpdates: rt.StatusUpdate(broker(wrong, reconciled(
			rt.Condition("ConfigReady", "False", "ConfigKindNotSupported", kafka),
			rt.Condition("DeadLetterSinkResolved", "False", "Unresolved", relative),
			rt.Condition("IngressReady", "False", "NotServed", "no"),
			rt.Condition("Ready", "False", "ConfigKindNotSupported", kafka)))),
		WantEvents: []string{
			"Warning ConfigKindNotSupported " + kafka, "Warning Unresolved " + relative, "Warning NotServed no",
		},
	}}}.run(t)
}

func sink(kind schema.GroupVersionKind, namespace, name string) *eventingduckv1.DeliverySpec {
	return &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{Ref: &duckv1.KReference{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: namespace, Name: name,
	}}}
}

func serviceURL(name string) *apis.URL { return apis.HTTP(name + "." + ns + ".svc.cluster.local") }

var coreService = schema.GroupVersionKind{Version: "v1", Kind: "Service"}

func TestDeadLetterSinkOfBroker(t *testing.T) {
	resolved := rt.Condition("DeadLetterSinkResolved", "True", "", "")
	to := func(url string, certs, audience *string) func(*eventingv1.Broker) {
		return func(b *eventingv1.Broker) {
			u, err := apis.ParseURL(url)
			if err != nil {
				t.Fatal(err)
			}
			b.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{
				DeadLetterSinkURI: u, DeadLetterSinkCACerts: certs, DeadLetterSinkAudience: audience,
			}
		}
	}
	const dead = "http://dead.shop.svc.cluster.local"
	busy := func(clientgotesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("busy")
	}
	relative := sink(rt.KnativeService, ns, "dead")
	relative.DeadLetterSink.URI = &apis.URL{Path: "/letters"}
	const busyMessage = "failed to get lister for /v1, Resource=services: busy"
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "a Service, in the Broker's namespace if the ref has none",
			Objects:           objects(broker(withDelivery(sink(coreService, "", "dead"))), rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(broker(withDelivery(sink(coreService, "", "dead")), reconciled(resolved), to(dead, nil, nil))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "a URI relative to an addressable with certificates and an audience",
			Objects: objects(broker(withDelivery(relative)), rt.Addressable(rt.KnativeService, ns, "dead", "https://dead.example/x")),
			WantStatusUpdates: rt.StatusUpdate(broker(withDelivery(relative), reconciled(resolved),
				to("https://dead.example/letters", ptr.String("pem"), ptr.String("aud")))),
		}}},
		{Row: rt.Row{Again: dataplane.Later, TableRow: rtesting.TableRow{
			Name: "one that does not exist any more",
			Objects: objects(broker(withDelivery(sink(coreService, ns, "dead")), reconciled(resolved), to(dead, nil, nil)),
				rt.Service(ns, "other")),
			WantStatusUpdates: rt.StatusUpdate(broker(withDelivery(sink(coreService, ns, "dead")), failing("DeadLetterSinkResolved",
				"False", "Unresolved", `failed to get object shop/dead: services "dead" not found`))),
			WantEvents: []string{`Warning Unresolved failed to get object shop/dead: services "dead" not found`},
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "that is not configured any more",
			Objects: objects(broker(withDelivery(&eventingduckv1.DeliverySpec{Retry: ptr.Int32(3)}),
				reconciled(resolved), to(dead, nil, nil))),
			WantStatusUpdates: rt.StatusUpdate(broker(withDelivery(&eventingduckv1.DeliverySpec{Retry: ptr.Int32(3)}), reconciled())),
		}}},
		{Row: rt.Row{Again: dataplane.Soon, TableRow: rtesting.TableRow{
			Name:         "while the API server is busy stays as it was",
			Objects:      objects(broker(withDelivery(sink(coreService, ns, "dead")), reconciled(resolved), to(dead, nil, nil))),
			WithReactors: []clientgotesting.ReactionFunc{onList("services", busy)},
		}}},
		{Row: rt.Row{Again: dataplane.Soon, TableRow: rtesting.TableRow{
			Name:         "while the API server is busy is unknown if it was",
			Objects:      objects(broker(withDelivery(sink(coreService, ns, "dead")))),
			WithReactors: []clientgotesting.ReactionFunc{onList("services", busy)},
			WantStatusUpdates: rt.StatusUpdate(broker(withDelivery(sink(coreService, ns, "dead")),
				failing("DeadLetterSinkResolved", "Unknown", "TryingAgain", busyMessage))),
		}}},
	} {
		r.run(t)
	}
}

func onList(resource string, react clientgotesting.ReactionFunc) clientgotesting.ReactionFunc {
	return func(action clientgotesting.Action) (bool, runtime.Object, error) {
		if action.GetVerb() == "list" && action.GetResource().Resource == resource {
			return react(action)
		}
		return false, nil, nil
	}
}

func TestFeaturesOfBroker(t *testing.T) {
	const noTLS = "The feature transport-encryption is Strict, but Leat takes events over HTTP only."
	const noOIDC = "The feature authentication-oidc is enabled, but Leat does not check who sends an event."
	strict := func(b *eventingv1.Broker) {
		failing("IngressReady", "False", "TransportEncryptionNotSupported", noTLS)(b)
		b.Status.Conditions = rt.Conditions(b.Status.Conditions, rt.Condition("Addressable", "False", "TransportEncryptionNotSupported", noTLS))
		b.Status.AddressStatus = duckv1.AddressStatus{}
	}
	for _, r := range []row{
		{Row: rt.Row{Features: map[string]string{"transport-encryption": "Permissive"}, TableRow: rtesting.TableRow{
			Name: "permissive encryption", Objects: objects(broker()), WantStatusUpdates: rt.StatusUpdate(broker(reconciled())),
		}}},
		{Row: rt.Row{Features: map[string]string{"transport-encryption": "strict"}, TableRow: rtesting.TableRow{
			Name: "strict encryption", Objects: objects(broker(reconciled())), WantStatusUpdates: rt.StatusUpdate(broker(strict)),
			WantEvents: []string{
				"Warning TransportEncryptionNotSupported " + noTLS, "Warning TransportEncryptionNotSupported " + noTLS,
			},
		}}},
		{Row: rt.Row{Features: map[string]string{"authentication-oidc": "enabled"}, TableRow: rtesting.TableRow{
			Name: "authentication",
			Objects: objects(broker(reconciled(), func(b *eventingv1.Broker) {
				b.Status.Policies = []eventingduckv1.AppliedEventPolicyRef{{Name: "of another controller"}}
			})),
			WantStatusUpdates: rt.StatusUpdate(broker(failing("EventPoliciesReady", "False", "AuthenticationNotSupported", noOIDC))),
			WantEvents:        []string{"Warning AuthenticationNotSupported " + noOIDC},
		}}},
	} {
		r.run(t)
	}
}

func TestDeletionOfBroker(t *testing.T) {
	deleted := func(ago time.Duration) *eventingv1.Broker {
		return broker(reconciled(), func(b *eventingv1.Broker) {
			at := metav1.NewTime(time.Now().Add(-ago))
			b.DeletionTimestamp = &at
			// Nothing of this may hold a deletion up.
			b.Spec.Config = &duckv1.KReference{Kind: "Nonsense"}
			b.Spec.Delivery = sink(coreService, ns, "dead")
		})
	}
	unfinished := []clientgotesting.PatchActionImpl{{
		Name: name, Patch: []byte(`{"metadata":{"finalizers":[],"resourceVersion":""}}`),
	}}
	stored := dataplanetest.All
	gone, otherGone := stored(served.Pending, ""), stored(served.Pending, "")
	stream := routing.StreamName{Kind: routing.Broker, Namespace: ns, Name: name}
	gone.Remove(stream, "orders-uid")
	otherGone.Remove(stream, "an earlier UID")
	for _, r := range []row{
		{plane: gone, Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name: "ends once its events are deleted", Objects: objects(deleted(time.Hour)), WantPatches: unfinished,
			WantEvents: []string{`Normal FinalizerUpdate Updated "orders" finalizers`},
		}}},
		{plane: stored(served.Serving, ""), Row: rt.Row{Again: 30 * time.Second, TableRow: rtesting.TableRow{
			Name: "waits for the data plane", Objects: objects(deleted(0)),
		}}},
		{plane: otherGone, Row: rt.Row{Again: 30 * time.Second, TableRow: rtesting.TableRow{
			Name: "is not taken for that of an earlier Broker", Objects: objects(deleted(0)),
		}}},
		{plane: stored(served.Serving, ""), Row: rt.Row{Again: 30 * time.Second, Unsettled: true, TableRow: rtesting.TableRow{
			Name: "that takes long is told of", Objects: objects(deleted(time.Hour)),
			WantEvents: []string{"Warning FinalizingWaits The deletion waits until the data plane has deleted its events."},
		}}},
		{plane: stored(served.Away, "no route to host"), Row: rt.Row{Again: 30 * time.Second, Unsettled: true, TableRow: rtesting.TableRow{
			Name: "while the data plane is away says so", Objects: objects(deleted(time.Hour)),
			WantEvents: []string{"Warning FinalizingWaits The deletion waits until the data plane has deleted its events. " +
				"no route to host"},
		}}},
	} {
		r.run(t)
	}
}
