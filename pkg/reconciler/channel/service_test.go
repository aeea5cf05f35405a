package channel

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgotesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

var services = schema.GroupResource{Resource: "services"}

// refusing is an API server that answers writes of Services with an error.
func refusing(err error) []clientgotesting.ReactionFunc {
	return []clientgotesting.ReactionFunc{func(a clientgotesting.Action) (bool, runtime.Object, error) {
		return a.Matches("create", "services") || a.Matches("update", "services"), nil, err
	}}
}

// without is a channel whose Service is not as it should be, and which therefore
// has no address.
func without(status corev1.ConditionStatus, reason, message string) func(*v1alpha1.LeatChannel) {
	return func(c *v1alpha1.LeatChannel) {
		reconciled(rt.Condition("ChannelServiceReady", status, reason, message), rt.Condition("Addressable", status, reason, message),
			rt.Condition("Ready", status, reason, message))(c)
		noAddress(c)
	}
}

func updated(o runtime.Object) []clientgotesting.UpdateActionImpl { return rt.StatusUpdate(o) }

func TestServiceOfChannel(t *testing.T) {
	const (
		foreign = "There is a Service shop/jobs-kn-channel that is not the channel's own; delete it, or give the channel another name."
		earlier = "The Service shop/jobs-kn-channel of an earlier channel is still there; it is being deleted."
		denied  = `The Service shop/jobs-kn-channel cannot be written: services "jobs-kn-channel" is forbidden: <nil>`
		taken   = `services "jobs-kn-channel" already exists`
	)
	old := func(s *corev1.Service) { s.OwnerReferences[0].UID = "earlier-uid" }
	unowned := func(s *corev1.Service) { s.OwnerReferences = nil }
	elsewhere := func(s *corev1.Service) { s.Spec.ExternalName = "elsewhere.example" }
	clusterIP := func(s *corev1.Service) {
		s.Spec = corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.1",
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}},
		}
	}
	labeled := func(s *corev1.Service) { s.Labels["team"] = "a" }
	unlabeled := func(s *corev1.Service) { delete(s.Labels, "messaging.knative.dev/role"); s.Labels["team"] = "a" }
	otherPort := func(s *corev1.Service) { s.Spec.Ports[0].Port = 8080 }
	mend := func(edits ...func(*corev1.Service)) *corev1.Service {
		s := alias(edits...)
		s.Spec = newAlias().Spec
		return s
	}
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "has more labels",
			Objects: objects(channel(reconciled()), alias(labeled)),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:        "leads elsewhere",
			Objects:     objects(channel(reconciled()), alias(elsewhere)),
			WantUpdates: updated(mend()),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:        "is of another type",
			Objects:     objects(channel(reconciled()), alias(clusterIP)),
			WantUpdates: updated(mend()),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:        "has another port",
			Objects:     objects(channel(reconciled()), alias(otherPort)),
			WantUpdates: updated(mend()),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:        "has lost a label",
			Objects:     objects(channel(reconciled()), alias(unlabeled)),
			WantUpdates: updated(mend(labeled)),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "is somebody else's",
			Objects:           objects(channel(reconciled()), alias(unowned, elsewhere)),
			WantStatusUpdates: rt.StatusUpdate(channel(without("False", "ServiceNotOwned", foreign))),
			WantEvents:        []string{"Warning ServiceNotOwned " + foreign},
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:              "is that of an earlier channel",
			Objects:           objects(channel(), alias(old)),
			WantStatusUpdates: rt.StatusUpdate(channel(without("Unknown", "TryingAgain", earlier))),
			WantErr:           true,
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name: "is being deleted",
			Objects: objects(channel(), alias(func(s *corev1.Service) {
				s.DeletionTimestamp = &metav1.Time{Time: time.Now()}
			})),
			WantStatusUpdates: rt.StatusUpdate(channel(without("Unknown", "TryingAgain", earlier))),
			WantErr:           true,
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:              "is there, but not known yet",
			Objects:           objects(channel()),
			WithReactors:      refusing(apierrors.NewAlreadyExists(services, "jobs-kn-channel")),
			WantCreates:       objects(newAlias()),
			WantStatusUpdates: rt.StatusUpdate(channel(without("Unknown", "TryingAgain", taken))),
			WantErr:           true,
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:              "cannot be made now",
			Objects:           objects(channel()),
			WithReactors:      refusing(apierrors.NewServiceUnavailable("busy")),
			WantCreates:       objects(newAlias()),
			WantStatusUpdates: rt.StatusUpdate(channel(without("Unknown", "TryingAgain", "busy"))),
			WantErr:           true,
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:              "may not be made",
			Objects:           objects(channel()),
			WithReactors:      refusing(apierrors.NewForbidden(services, "jobs-kn-channel", nil)),
			WantCreates:       objects(newAlias()),
			WantStatusUpdates: rt.StatusUpdate(channel(without("False", "ServiceFailed", denied))),
			WantEvents:        []string{"Warning ServiceFailed " + denied},
			WantErr:           true,
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:         "has changed meanwhile",
			Objects:      objects(channel(reconciled()), alias(elsewhere)),
			WithReactors: refusing(apierrors.NewConflict(services, "jobs-kn-channel", nil)),
			WantUpdates:  updated(mend()),
			WantErr:      true,
		}}},
	} {
		r.run(t)
	}
}

// A sender uses the name in the address as the host of its requests, by which
// the data plane finds the channel.
func TestDataPlaneKnowsTheAddress(t *testing.T) {
	for _, name := range []string{"a", "a.b", strings.Repeat("long-", 11) + "name"} {
		c := channel()
		c.Name = name
		streams, _ := build.Streams(build.Input{Channels: []*v1alpha1.LeatChannel{c}}, build.Options{})
		s := streams[routing.StreamName{Kind: routing.Channel, Namespace: ns, Name: name}]
		if address := apis.HTTP(host(c)); s.Hosts[0] != address.Host {
			t.Errorf("the data plane knows %s as %v, but its address is %s", name, s.Hosts, address)
		}
	}
}
