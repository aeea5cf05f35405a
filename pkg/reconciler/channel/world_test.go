package channel

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/ptr"
	rtesting "knative.dev/pkg/reconciler/testing"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	channelreconciler "leat.dev/leat/pkg/client/injection/reconciler/messaging/v1alpha1/leatchannel"
	"leat.dev/leat/pkg/reconciler/dataplane/dataplanetest"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/served"

	_ "knative.dev/pkg/system/testing" // the name of the system namespace
)

const (
	ns   = "shop"
	name = "jobs"
	key  = ns + "/" + name

	address   = "jobs-kn-channel.shop.svc.cluster.local"
	finalizer = "leatchannels.messaging.knative.dev"
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
			rec := &Reconciler{
				plane: r.plane, channels: w.Leat, kube: w.Kube, services: w.Services,
				subscriptions: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{bySubscriber: indexSubscription}),
			}
			for _, s := range w.Subscriptions {
				if err := rec.subscriptions.Add(s); err != nil {
					t.Fatal(err)
				}
			}
			rec.resolver = resolver.NewURIResolverFromTracker(ctx, &rtesting.FakeTracker{})
			return channelreconciler.NewReconciler(ctx, logging.FromContext(ctx), w.Leat, w.Channels, w.Recorder, rec,
				controller.Options{ConfigStore: w.Features})
		})
	})
}

// channel is one as the API server has it after the first write.
func channel(edits ...func(*v1alpha1.LeatChannel)) *v1alpha1.LeatChannel {
	c := &v1alpha1.LeatChannel{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: name, UID: name + "-uid", Generation: 1, Finalizers: []string{finalizer},
		Annotations: map[string]string{"messaging.knative.dev/subscribable": "v1"},
	}}
	for _, edit := range edits {
		edit(c)
	}
	return c
}

// ready are the conditions of a channel of which all is well.
var ready = []apis.Condition{
	rt.Condition("Addressable", "True", "", ""),
	rt.Condition("ChannelServiceReady", "True", "", ""),
	rt.Condition("DeadLetterSinkResolved", "True", "DeadLetterSinkNotConfigured", "No dead letter sink is configured."),
	rt.Condition("DispatcherReady", "True", "", ""),
	rt.Condition("EventPoliciesReady", "True", "OIDCDisabled", `Feature "authentication-oidc" must be enabled to support Authorization`),
	rt.Condition("Ready", "True", "", ""),
}

// reconciled is a channel of which all is well but for some conditions.
func reconciled(conditions ...apis.Condition) func(*v1alpha1.LeatChannel) {
	return func(c *v1alpha1.LeatChannel) {
		url := duckv1.Addressable{Name: ptr.String("http"), URL: apis.HTTP(address)}
		c.Status.ObservedGeneration = c.Generation
		c.Status.Conditions = rt.Conditions(ready, conditions...)
		c.Status.AddressStatus = duckv1.AddressStatus{Address: &url, Addresses: []duckv1.Addressable{url}}
		for _, s := range c.Spec.Subscribers {
			c.Status.Subscribers = append(c.Status.Subscribers, eventingduckv1.SubscriberStatus{
				UID: s.UID, ObservedGeneration: s.Generation, Ready: corev1.ConditionTrue,
			})
		}
	}
}

// failing is a condition that is the reason why a channel is not ready.
func failing(t apis.ConditionType, status corev1.ConditionStatus, reason, message string) func(*v1alpha1.LeatChannel) {
	return reconciled(rt.Condition(t, status, reason, message), rt.Condition("Ready", status, reason, message))
}

func generation(g int64) func(*v1alpha1.LeatChannel) {
	return func(c *v1alpha1.LeatChannel) { c.Generation = g }
}

func noAddress(c *v1alpha1.LeatChannel) { c.Status.AddressStatus = duckv1.AddressStatus{} }

// subscribed adds a subscriber with the UID {name}-uid and the URL http://{name}.
func subscribed(name string, edits ...func(*eventingduckv1.SubscriberSpec)) func(*v1alpha1.LeatChannel) {
	return func(c *v1alpha1.LeatChannel) {
		s := eventingduckv1.SubscriberSpec{
			Name: &name, UID: types.UID(name + "-uid"), Generation: 1, SubscriberURI: apis.HTTP(name),
		}
		for _, edit := range edits {
			edit(&s)
		}
		c.Spec.Subscribers = append(c.Spec.Subscribers, s)
	}
}

// says replaces what the status tells of the subscriber at an index.
func says(i int, ready corev1.ConditionStatus, message string) func(*v1alpha1.LeatChannel) {
	return func(c *v1alpha1.LeatChannel) {
		c.Status.Subscribers[i].Ready, c.Status.Subscribers[i].Message = ready, message
	}
}

// subscription is the Subscription of subscribed(name).
func subscription(name string, annotations ...string) *messagingv1.Subscription {
	s := &messagingv1.Subscription{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: name, UID: types.UID(name + "-uid"), Generation: 1, Annotations: map[string]string{},
	}}
	for i := 0; i < len(annotations); i += 2 {
		s.Annotations[annotations[i]] = annotations[i+1]
	}
	return s
}

// alias is the channel's Service as the API server has it.
func alias(edits ...func(*corev1.Service)) *corev1.Service {
	s := newAlias()
	s.Spec.SessionAffinity = corev1.ServiceAffinityNone
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// newAlias is the channel's Service as it is made.
func newAlias() *corev1.Service {
	yes := true
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: "jobs-kn-channel",
			Labels: map[string]string{
				"app.kubernetes.io/name": "leat", "app.kubernetes.io/part-of": "leat",
				"app.kubernetes.io/component": "leat-controller", "messaging.knative.dev/role": "leat-channel",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "messaging.knative.dev/v1alpha1", Kind: "LeatChannel", Name: name, UID: name + "-uid",
				Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeExternalName, ExternalName: "leat-ingress.knative-testing.svc.cluster.local",
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}},
		},
	}
}

func objects(list ...runtime.Object) []runtime.Object { return list }

func patch(t *testing.T, text string) []clientgotesting.PatchActionImpl {
	t.Helper()
	p := clientgotesting.PatchActionImpl{Name: name, Patch: []byte(text)}
	p.Namespace = ns
	return []clientgotesting.PatchActionImpl{p}
}
