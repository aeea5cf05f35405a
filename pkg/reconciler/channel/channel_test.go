package channel

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/ptr"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/reconciler/dataplane/dataplanetest"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

func TestChannel(t *testing.T) {
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "is not there",
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "is new",
			Objects:           objects(channel()),
			WantCreates:       objects(newAlias()),
			WantStatusUpdates: rt.StatusUpdate(channel(reconciled())),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "is as it should be",
			Objects: objects(channel(reconciled()), alias()),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "has a new generation",
			Objects:           objects(channel(reconciled(), generation(2)), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(generation(2), reconciled())),
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name: "has no finalizer yet",
			Objects: objects(channel(reconciled(), func(c *v1alpha1.LeatChannel) {
				c.Finalizers, c.ResourceVersion = nil, "7"
			}), alias()),
			WantPatches: patch(t, `{"metadata":{"finalizers":["`+finalizer+`"],"resourceVersion":"7"}}`),
			WantEvents:  []string{`Normal FinalizerUpdate Updated "jobs" finalizers`},
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:        "does not tell the version of its duck type yet",
			Objects:     objects(channel(reconciled(), func(c *v1alpha1.LeatChannel) { c.Annotations = nil }), alias()),
			WantPatches: patch(t, `{"metadata":{"annotations":{"messaging.knative.dev/subscribable":"v1"}}}`),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "tells another version of its duck type",
			Objects: objects(channel(reconciled(), func(c *v1alpha1.LeatChannel) {
				c.Annotations["messaging.knative.dev/subscribable"] = "v1beta1"
			}), alias()),
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:         "cannot be annotated now",
			Objects:      objects(channel(reconciled(), func(c *v1alpha1.LeatChannel) { c.Annotations = nil }), alias()),
			WithReactors: []clientgotesting.ReactionFunc{rtesting.InduceFailure("patch", "leatchannels")},
			WantPatches:  patch(t, `{"metadata":{"annotations":{"messaging.knative.dev/subscribable":"v1"}}}`),
			WantErr:      true,
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "has policies in its status from an earlier time",
			Objects: objects(channel(reconciled(), func(c *v1alpha1.LeatChannel) {
				c.Status.Policies = []eventingduckv1.AppliedEventPolicyRef{{Name: "a"}}
			}), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(reconciled())),
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:              "cannot be updated",
			Objects:           objects(channel(), alias()),
			WithReactors:      []clientgotesting.ReactionFunc{rtesting.InduceFailure("update", "leatchannels")},
			WantStatusUpdates: rt.StatusUpdate(channel(reconciled())),
			WantEvents: []string{
				`Warning UpdateFailed Failed to update status for "jobs": inducing failure for update leatchannels`,
			},
			WantErr: true,
		}}},
	} {
		r.run(t)
	}
}

func TestChannelAsksTheDataPlane(t *testing.T) {
	const notYet = "The data plane has not been asked yet."
	for _, r := range []row{
		{plane: dataplanetest.All(served.Pending, "not yet"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that does not serve it yet",
			Objects:           objects(channel(), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(failing("DispatcherReady", "Unknown", "NotServedYet", "not yet"))),
		}}},
		{plane: dataplanetest.All(served.Away, "100% gone"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that is away",
			Objects:           objects(channel(reconciled()), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(failing("DispatcherReady", "Unknown", "DataPlaneUnavailable", "100% gone"))),
		}}},
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "that has not been asked, about a channel that is as it was",
			Objects: objects(channel(reconciled()), alias()),
		}}},
		{plane: dataplanetest.All(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that has not been asked, about a new channel",
			Objects:           objects(channel(), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(failing("DispatcherReady", "Unknown", "NotServedYet", notYet))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "that serves it, but not its options",
			Objects: objects(channel(func(c *v1alpha1.LeatChannel) { c.Annotations["leat.dev/max-in-flight"] = "lots" }),
				alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(
				func(c *v1alpha1.LeatChannel) { c.Annotations["leat.dev/max-in-flight"] = "lots" },
				reconciled(rt.Condition("DispatcherReady", "True", "OptionIgnored", lots)))),
			WantEvents: []string{"Warning OptionIgnored " + lots},
		}}},
	} {
		r.run(t)
	}
}

const lots = `annotation leat.dev/max-in-flight is "lots", but must be a whole number from 1 to 10000; 100 is used`

// The stream is asked about by the UID of the channel: that of an earlier
// channel of the name is another one.
func TestChannelAsksForItsStream(t *testing.T) {
	plane := &dataplanetest.Plane{}
	plane.SayOfStreams(func(stream routing.StreamName, uid string) served.Verdict {
		if stream.String() != "channel/shop/jobs" || uid != "jobs-uid" {
			t.Errorf("asked about %s of %q", stream, uid)
		}
		return served.Verdict{State: served.Serving}
	})
	row{plane: plane, Row: rt.Row{TableRow: rtesting.TableRow{
		Name:              "asked",
		Objects:           objects(channel(), alias()),
		WantStatusUpdates: rt.StatusUpdate(channel(reconciled())),
	}}}.run(t)
}

func TestChannelAndFeatures(t *testing.T) {
	const (
		noTLS  = "The feature transport-encryption is Strict, but Leat takes events over HTTP only."
		noOIDC = "The feature authentication-oidc is enabled, but Leat does not check who sends an event."
	)
	for _, r := range []row{
		{Row: rt.Row{Features: map[string]string{"transport-encryption": "strict"}, TableRow: rtesting.TableRow{
			Name:    "strict transport encryption",
			Objects: objects(channel(reconciled()), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(reconciled(
				rt.Condition("Addressable", "False", "TransportEncryptionNotSupported", noTLS),
				rt.Condition("DispatcherReady", "False", "TransportEncryptionNotSupported", noTLS),
				rt.Condition("Ready", "False", "TransportEncryptionNotSupported", noTLS)), noAddress)),
			WantEvents: []string{"Warning TransportEncryptionNotSupported " + noTLS},
		}}},
		{Row: rt.Row{Features: map[string]string{"transport-encryption": "permissive"}, TableRow: rtesting.TableRow{
			Name:    "permissive transport encryption",
			Objects: objects(channel(reconciled()), alias()),
		}}},
		{Row: rt.Row{Features: map[string]string{"authentication-oidc": "enabled"}, TableRow: rtesting.TableRow{
			Name:    "authentication",
			Objects: objects(channel(reconciled()), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(failing(
				"EventPoliciesReady", "False", "AuthenticationNotSupported", noOIDC))),
			WantEvents: []string{"Warning AuthenticationNotSupported " + noOIDC},
		}}},
	} {
		r.run(t)
	}
}

// sinkAt is a dead letter sink by a reference or a URL.
func sinkAt(d duckv1.Destination) func(*v1alpha1.LeatChannel) {
	return func(c *v1alpha1.LeatChannel) { c.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &d} }
}

func sinkResolved(url, certificates, audience string) func(*v1alpha1.LeatChannel) {
	return func(c *v1alpha1.LeatChannel) {
		u, err := apis.ParseURL(url)
		if err != nil {
			panic(err)
		}
		c.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{DeadLetterSinkURI: u}
		if certificates != "" {
			c.Status.DeadLetterSinkCACerts, c.Status.DeadLetterSinkAudience = &certificates, &audience
		}
	}
}

func TestDeadLetterSinkOfChannel(t *testing.T) {
	resolved := rt.Condition("DeadLetterSinkResolved", "True", "", "")
	service := sinkAt(duckv1.Destination{Ref: &duckv1.KReference{APIVersion: "v1", Kind: "Service", Name: "dead"}})
	knative := sinkAt(duckv1.Destination{
		Ref: &duckv1.KReference{APIVersion: "serving.knative.dev/v1", Kind: "Service", Namespace: "hub", Name: "dead"},
		URI: &apis.URL{Path: "letters"},
	})
	const gone = `failed to get object shop/dead: services "dead" not found`
	busy := func(action clientgotesting.Action) (bool, runtime.Object, error) {
		return action.Matches("list", "services"), nil, apierrors.NewServiceUnavailable("busy")
	}
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "is a Service beside it",
			Objects: objects(channel(service), alias(), rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(channel(service, reconciled(resolved),
				sinkResolved("http://dead.shop.svc.cluster.local", "", ""))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "is a path at an Addressable elsewhere",
			Objects: objects(channel(knative), alias(), rt.Addressable(rt.KnativeService, "hub", "dead", "http://dead.example/a/")),
			WantStatusUpdates: rt.StatusUpdate(channel(knative, reconciled(resolved),
				sinkResolved("http://dead.example/a/letters", "pem", "aud"))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "is a URL",
			Objects: objects(channel(sinkAt(duckv1.Destination{URI: apis.HTTP("dead.example")})), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(sinkAt(duckv1.Destination{URI: apis.HTTP("dead.example")}),
				reconciled(resolved), sinkResolved("http://dead.example", "", ""))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "is not there any more",
			Objects:           objects(channel(reconciled(resolved), sinkResolved("http://dead", "pem", "aud")), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(reconciled())),
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name: "is a Service that does not exist",
			Objects: objects(channel(service, reconciled(resolved), sinkResolved("http://dead.shop.svc.cluster.local", "", "")),
				alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(service, failing("DeadLetterSinkResolved", "False", "Unresolved", gone))),
			WantEvents:        []string{"Warning Unresolved " + gone},
			WantErr:           true,
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "has certificates that are none",
			Objects: objects(channel(sinkAt(duckv1.Destination{URI: apis.HTTPS("dead.example"), CACerts: ptr.String("100%")})),
				alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(sinkAt(duckv1.Destination{URI: apis.HTTPS("dead.example"), CACerts: ptr.String("100%")}),
				failing("DeadLetterSinkResolved", "False", "Invalid", badCertificates))),
			WantEvents: []string{"Warning Invalid " + badCertificates},
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name: "cannot be looked up now, but was before",
			Objects: objects(channel(service, reconciled(resolved), sinkResolved("http://dead.shop.svc.cluster.local", "", "")),
				alias(), rt.Service(ns, "dead")),
			WithReactors: []clientgotesting.ReactionFunc{busy},
			WantErr:      true,
		}}},
	} {
		r.run(t)
	}
}

const badCertificates = "must be PEM certificates: spec.delivery.deadLetterSink.CACerts"

func TestDeletionOfChannel(t *testing.T) {
	deleted := func(ago time.Duration) func(*v1alpha1.LeatChannel) {
		return func(c *v1alpha1.LeatChannel) { c.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(-ago)} }
	}
	stream := routing.StreamName{Kind: routing.Channel, Namespace: ns, Name: name}
	gone := dataplanetest.All(served.Pending, "")
	gone.Remove(stream, "jobs-uid")
	other := dataplanetest.All(served.Pending, "")
	other.Remove(stream, "earlier-uid")
	for _, r := range []row{
		{plane: dataplanetest.All(served.Serving, ""), Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:    "waits for the data plane",
			Objects: objects(channel(reconciled(), deleted(time.Second)), alias()),
			WantErr: true,
		}}},
		{plane: other, Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:    "does not take an earlier channel for this one",
			Objects: objects(channel(reconciled(), deleted(time.Second)), alias()),
			WantErr: true,
		}}},
		{plane: dataplanetest.All(served.Away, "no answer"), Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:    "says why it takes long",
			Objects: objects(channel(reconciled(), deleted(time.Minute)), alias()),
			WantEvents: []string{"Warning FinalizingWaits The deletion waits until the data plane has deleted its events. " +
				"no answer"},
			WantErr: true,
		}}},
		{plane: gone, Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name: "comes to its end once nothing is stored any more",
			Objects: objects(channel(reconciled(), deleted(time.Minute), func(c *v1alpha1.LeatChannel) {
				c.ResourceVersion = "7"
			}), alias()),
			WantPatches: patch(t, `{"metadata":{"finalizers":[],"resourceVersion":"7"}}`),
			WantEvents:  []string{`Normal FinalizerUpdate Updated "jobs" finalizers`},
		}}},
	} {
		r.run(t)
	}
}
