// Package broker reconciles Brokers of class Leat: it gives them an address,
// their options and a status that tells what the data plane does for them.
package broker

import (
	"context"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

// FinalizerName is that of the finalizer on Brokers of class Leat.
const FinalizerName = "leat.brokers.eventing.knative.dev"

// ConditionConfig is False if Leat cannot read the Broker's spec.config.
const ConditionConfig apis.ConditionType = "ConfigReady"

// conditions of a Broker, in the order in which they are worth telling.
var conditions = []apis.ConditionType{
	ConditionConfig,
	eventingv1.BrokerConditionDeadLetterSinkResolved,
	eventingv1.BrokerConditionAddressable,
	eventingv1.BrokerConditionEventPoliciesReady,
	eventingv1.BrokerConditionIngress,
}

// Reconciler brings the status of Brokers up to date. It is safe for concurrent
// use.
type Reconciler struct {
	plane    served.Asker
	resolver *resolver.URIResolver
	kube     kubernetes.Interface
	defaults defaults
	removal  dataplane.Removal
}

// phases each see to a part of the status, and say after how long they want to
// look again, if at all. All run, so that all mistakes are told at once.
var phases = []func(*Reconciler, context.Context, *eventingv1.Broker) time.Duration{
	(*Reconciler).deliveryDefaults,
	(*Reconciler).config,
	(*Reconciler).deadLetterSink,
	(*Reconciler).address,
	(*Reconciler).eventPolicies,
	(*Reconciler).ingress,
}

// ReconcileKind implements the generated reconciler's Interface.
func (r *Reconciler) ReconcileKind(ctx context.Context, b *eventingv1.Broker) reconciler.Event {
	before := b.Status.Conditions.DeepCopy()
	var again []time.Duration
	for _, phase := range phases {
		again = append(again, phase(r, ctx, b))
	}
	dataplane.Summarize(manage(b), conditions...)
	dataplane.Announce(ctx, before, b, conditions...)
	return dataplane.Again(again...)
}

// FinalizeKind implements the generated reconciler's Finalizer.
func (r *Reconciler) FinalizeKind(ctx context.Context, b *eventingv1.Broker) reconciler.Event {
	return r.removal.Await(ctx, r.plane, b, streamName(b))
}

func manage(b *eventingv1.Broker) apis.ConditionManager {
	return b.GetConditionSet().Manage(&b.Status)
}

func streamName(b *eventingv1.Broker) routing.StreamName {
	return routing.StreamName{Kind: routing.Broker, Namespace: b.Namespace, Name: b.Name}
}

func (r *Reconciler) deadLetterSink(ctx context.Context, b *eventingv1.Broker) time.Duration {
	if b.Spec.Delivery == nil || b.Spec.Delivery.DeadLetterSink == nil {
		b.Status.MarkDeadLetterSinkNotConfigured()
		return 0
	}
	addr, err := dataplane.Resolve(ctx, r.resolver, *b.Spec.Delivery.DeadLetterSink, b)
	switch {
	case err == nil:
		b.Status.MarkDeadLetterSinkResolvedSucceeded(eventingduckv1.NewDeliveryStatusFromAddressable(addr))
		return 0
	case !dataplane.Temporary(err):
		b.Status.MarkDeadLetterSinkResolvedFailed(dataplane.ReasonUnresolved, "%s", dataplane.Clip(err.Error()))
		return dataplane.Later
	case b.Status.ObservedGeneration != b.Generation || !b.Status.GetCondition(eventingv1.BrokerConditionDeadLetterSinkResolved).IsTrue():
		// What was resolved before stays: a busy API server must not stop the
		// events.
		manage(b).MarkUnknown(eventingv1.BrokerConditionDeadLetterSinkResolved, dataplane.ReasonTryingAgain, "%s", dataplane.Clip(err.Error()))
	}
	return dataplane.Soon
}

func (r *Reconciler) address(ctx context.Context, b *eventingv1.Broker) time.Duration {
	if feature.FromContext(ctx).IsStrictTransportEncryption() {
		b.Status.AddressStatus = duckv1.AddressStatus{}
		manage(b).MarkFalse(eventingv1.BrokerConditionAddressable, dataplane.ReasonNoTLS, noTLS)
		return 0
	}
	scheme := "http"
	addr := duckv1.Addressable{Name: &scheme, URL: dataplane.Address(streamName(b))}
	b.Status.AddressStatus = duckv1.AddressStatus{Address: &addr, Addresses: []duckv1.Addressable{addr}}
	manage(b).MarkTrue(eventingv1.BrokerConditionAddressable)
	return 0
}

func (r *Reconciler) eventPolicies(ctx context.Context, b *eventingv1.Broker) time.Duration {
	b.Status.Policies = nil
	if feature.FromContext(ctx).IsOIDCAuthentication() {
		b.Status.MarkEventPoliciesFailed(dataplane.ReasonNoAuthentication,
			"The feature %s is enabled, but Leat does not check who sends an event.", feature.OIDCAuthentication)
		return 0
	}
	b.Status.MarkEventPoliciesTrueWithReason(dataplane.ReasonOIDCDisabled,
		"Feature %q must be enabled to support Authorization", feature.OIDCAuthentication)
	return 0
}

const noTLS = "The feature transport-encryption is Strict, but Leat takes events over HTTP only."

// ingress is about the data plane. A Broker whose options are not all used as
// they are written is ready, and says so.
func (r *Reconciler) ingress(ctx context.Context, b *eventingv1.Broker) time.Duration {
	if feature.FromContext(ctx).IsStrictTransportEncryption() {
		manage(b).MarkFalse(eventingv1.BrokerConditionIngress, dataplane.ReasonNoTLS, noTLS)
		return 0
	}
	dataplane.MarkServed(manage(b), eventingv1.BrokerConditionIngress, r.plane.Stream(streamName(b), string(b.UID)), false)
	return 0
}

// mistakes are what the data plane does not take as the Broker says.
func mistakes(ctx context.Context, b *eventingv1.Broker) string {
	_, problems := build.Streams(build.Input{Brokers: []*eventingv1.Broker{b}}, dataplane.BuildOptions(ctx))
	reasons := make([]string, 0, len(problems))
	for _, p := range problems {
		reasons = append(reasons, p.Reason)
	}
	return dataplane.Clip(strings.Join(reasons, "; "))
}
