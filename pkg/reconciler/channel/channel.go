// Package channel reconciles LeatChannels: it gives them an address and a
// Service, and a status that tells what the data plane does for them and for
// each of their subscribers.
package channel

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/eventing/pkg/apis/messaging"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"

	corev1listers "k8s.io/client-go/listers/core/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/client/clientset/versioned"
	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

// conditions of a channel, in the order in which they are worth telling. None
// is about a subscriber: those have a status of their own.
var conditions = []apis.ConditionType{
	v1alpha1.LeatChannelConditionDeadLetterSinkResolved,
	v1alpha1.LeatChannelConditionServiceReady,
	v1alpha1.LeatChannelConditionAddressable,
	v1alpha1.LeatChannelConditionEventPoliciesReady,
	v1alpha1.LeatChannelConditionDispatcherReady,
}

// announced are the conditions whose mistakes become events. Addressable has
// none of its own.
var announced = []apis.ConditionType{
	v1alpha1.LeatChannelConditionDeadLetterSinkResolved,
	v1alpha1.LeatChannelConditionServiceReady,
	v1alpha1.LeatChannelConditionEventPoliciesReady,
	v1alpha1.LeatChannelConditionDispatcherReady,
}

// Reconciler brings channels up to date. It is safe for concurrent use.
type Reconciler struct {
	plane    served.Asker
	resolver *resolver.URIResolver
	channels versioned.Interface
	kube     kubernetes.Interface
	services corev1listers.ServiceLister
	// subscriptions has the index bySubscriber.
	subscriptions cache.Indexer
	removal       dataplane.Removal
}

// phases each see to a part of the channel, and say after how long they want to
// look again, if at all. All run, so that all mistakes are told at once. The
// last two are about the status that the others made.
var phases = []func(*Reconciler, context.Context, *subject) time.Duration{
	(*Reconciler).annotation,
	(*Reconciler).deadLetterSink,
	(*Reconciler).service,
	(*Reconciler).address,
	(*Reconciler).eventPolicies,
	(*Reconciler).dispatcher,
	(*Reconciler).subscribers,
}

// subject is a channel under reconciliation.
type subject struct {
	*v1alpha1.LeatChannel
	// before is the channel with the status that it came with.
	before *v1alpha1.LeatChannel
	// wanted is what the data plane makes of the channel, with the status that
	// it has now.
	wanted plan
}

func (s *subject) manage() apis.ConditionManager {
	return s.GetConditionSet().Manage(&s.Status)
}

func (s *subject) stream() routing.StreamName { return streamName(s.LeatChannel) }

// ReconcileKind implements the generated reconciler's Interface.
func (r *Reconciler) ReconcileKind(ctx context.Context, c *v1alpha1.LeatChannel) reconciler.Event {
	s := &subject{LeatChannel: c, before: c.DeepCopy()}
	var again []time.Duration
	for _, phase := range phases {
		again = append(again, phase(r, ctx, s))
	}
	dataplane.Summarize(s.manage(), conditions...)
	dataplane.Announce(ctx, s.before.Status.Conditions, c, announced...)
	announceSubscribers(ctx, s)
	return dataplane.Again(again...)
}

// FinalizeKind implements the generated reconciler's Finalizer.
func (r *Reconciler) FinalizeKind(ctx context.Context, c *v1alpha1.LeatChannel) reconciler.Event {
	return r.removal.Await(ctx, r.plane, c, streamName(c))
}

func streamName(c *v1alpha1.LeatChannel) routing.StreamName {
	return routing.StreamName{Kind: routing.Channel, Namespace: c.Namespace, Name: c.Name}
}

// annotation says on the channel which version of the Subscribable duck type it
// is, as the control-plane spec asks of each channel. Others have a webhook do
// that.
func (r *Reconciler) annotation(ctx context.Context, s *subject) time.Duration {
	if _, ok := s.Annotations[messaging.SubscribableDuckVersionAnnotation]; ok {
		return 0
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{messaging.SubscribableDuckVersionAnnotation: "v1"},
	}})
	if err != nil {
		panic("BUG: a patch of constants: " + err.Error())
	}
	_, err = r.channels.MessagingV1alpha1().LeatChannels(s.Namespace).
		Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return dataplane.Soon
	}
	return 0
}

func (r *Reconciler) deadLetterSink(ctx context.Context, s *subject) time.Duration {
	if s.Spec.Delivery == nil || s.Spec.Delivery.DeadLetterSink == nil {
		s.Status.MarkDeadLetterSinkNotConfigured()
		return 0
	}
	dest := s.Spec.Delivery.DeadLetterSink
	if fe := v1alpha1.ValidateDeadLetterSink(dest); fe != nil {
		s.Status.MarkDeadLetterSinkFailed(reasonInvalid, "%s", dataplane.Clip(fe.ViaField("spec", "delivery", "deadLetterSink").Error()))
		return 0
	}
	addr, err := dataplane.Resolve(ctx, r.resolver, *dest, s.LeatChannel)
	switch {
	case err == nil:
		s.Status.MarkDeadLetterSinkResolved(eventingduckv1.NewDeliveryStatusFromAddressable(addr))
		return 0
	case !dataplane.Temporary(err):
		s.Status.MarkDeadLetterSinkFailed(dataplane.ReasonUnresolved, "%s", dataplane.Clip(err.Error()))
		return dataplane.Later
	case s.Status.ObservedGeneration != s.Generation || !s.condition(v1alpha1.LeatChannelConditionDeadLetterSinkResolved).IsTrue():
		// What was resolved before stays: a busy API server must not stop the
		// events.
		s.manage().MarkUnknown(v1alpha1.LeatChannelConditionDeadLetterSinkResolved, dataplane.ReasonTryingAgain,
			"%s", dataplane.Clip(err.Error()))
	}
	return dataplane.Soon
}

func (s *subject) condition(t apis.ConditionType) *apis.Condition { return s.manage().GetCondition(t) }

// address is that of the channel's Service, once that leads to the data plane.
func (r *Reconciler) address(ctx context.Context, s *subject) time.Duration {
	const t = v1alpha1.LeatChannelConditionAddressable
	if feature.FromContext(ctx).IsStrictTransportEncryption() {
		s.Status.AddressStatus = duckv1.AddressStatus{}
		s.manage().MarkFalse(t, dataplane.ReasonNoTLS, noTLS)
		return 0
	}
	if service := s.condition(v1alpha1.LeatChannelConditionServiceReady); !service.IsTrue() {
		// Events must not go to whatever else has that name.
		s.Status.AddressStatus = duckv1.AddressStatus{}
		if service.IsFalse() {
			s.manage().MarkFalse(t, service.Reason, "%s", service.Message)
		} else {
			s.manage().MarkUnknown(t, service.Reason, "%s", service.Message)
		}
		return 0
	}
	scheme := "http"
	s.Status.SetAddress(&duckv1.Addressable{Name: &scheme, URL: apis.HTTP(host(s.LeatChannel))})
	return 0
}

func (r *Reconciler) eventPolicies(ctx context.Context, s *subject) time.Duration {
	s.Status.Policies = nil
	if feature.FromContext(ctx).IsOIDCAuthentication() {
		s.Status.MarkEventPoliciesFailed(dataplane.ReasonNoAuthentication,
			"The feature %s is enabled, but Leat does not check who sends an event.", feature.OIDCAuthentication)
		return 0
	}
	s.Status.MarkEventPoliciesTrueWithReason(dataplane.ReasonOIDCDisabled,
		"Feature %q must be enabled to support Authorization", feature.OIDCAuthentication)
	return 0
}

const noTLS = "The feature transport-encryption is Strict, but Leat takes events over HTTP only."

// reasonInvalid is that of a dead letter sink which the API server could not
// check.
const reasonInvalid = "Invalid"

// dispatcher is about the data plane. A channel whose options are not all used
// as they are written is ready, and says so.
func (r *Reconciler) dispatcher(ctx context.Context, s *subject) time.Duration {
	const t = v1alpha1.LeatChannelConditionDispatcherReady
	s.wanted = r.plan(ctx, s.LeatChannel)
	if feature.FromContext(ctx).IsStrictTransportEncryption() {
		s.manage().MarkFalse(t, dataplane.ReasonNoTLS, noTLS)
		return 0
	}
	verdict := r.plane.Stream(s.stream(), string(s.UID))
	dataplane.MarkServed(s.manage(), t, verdict, false)
	if verdict.State == served.Serving && s.wanted.mistakes != "" {
		s.manage().MarkTrueWithReason(t, dataplane.ReasonIgnored, "%s", s.wanted.mistakes)
	}
	return 0
}
