// Package trigger reconciles the Triggers of Brokers of class Leat: it resolves
// where their events go and tells in their status whether the data plane
// delivers to there.
package trigger

import (
	"context"
	"time"

	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/eventing/pkg/duck"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/served"
)

// conditions of a Trigger, in the order in which they are worth telling.
var conditions = []apis.ConditionType{
	eventingv1.TriggerConditionBroker,
	eventingv1.TriggerConditionSubscriberResolved,
	eventingv1.TriggerConditionDeadLetterSinkResolved,
	eventingv1.TriggerConditionDependency,
	eventingv1.TriggerConditionOIDCIdentityCreated,
	eventingv1.TriggerConditionSubscribed,
}

// announced are the conditions whose mistakes become events: those that the
// Trigger itself is to blame for.
var announced = []apis.ConditionType{
	eventingv1.TriggerConditionSubscriberResolved,
	eventingv1.TriggerConditionDeadLetterSinkResolved,
	eventingv1.TriggerConditionDependency,
	eventingv1.TriggerConditionOIDCIdentityCreated,
	eventingv1.TriggerConditionSubscribed,
}

// Reconciler brings the status of Triggers up to date. It is safe for
// concurrent use.
type Reconciler struct {
	plane    served.Asker
	resolver *resolver.URIResolver
	sources  duck.ListableTracker
}

// phases each see to a part of the status, and say after how long they want to
// look again, if at all. All run, so that all mistakes are told at once, and
// none waits for the Broker to be ready. The last one is about the status that
// the others made.
var phases = []func(*Reconciler, context.Context, *subject) time.Duration{
	(*Reconciler).propagateBroker,
	(*Reconciler).subscriber,
	(*Reconciler).deadLetterSink,
	(*Reconciler).dependency,
	(*Reconciler).identity,
	(*Reconciler).subscription,
}

// subject is a Trigger under reconciliation.
type subject struct {
	*eventingv1.Trigger
	// before is the Trigger with the status that it came with.
	before *eventingv1.Trigger
	broker *eventingv1.Broker
}

func (s *subject) manage() apis.ConditionManager {
	return s.GetConditionSet().Manage(&s.Status)
}

// ReconcileKind implements the generated reconciler's Interface.
func (r *Reconciler) ReconcileKind(ctx context.Context, t *eventingv1.Trigger) reconciler.Event {
	s := &subject{Trigger: t, before: t.DeepCopy()}
	l := linkFrom(ctx)
	var again []time.Duration
	if l.missing != "" {
		s.manage().MarkFalse(eventingv1.TriggerConditionBroker, l.missing, "%s", l.why)
		s.manage().MarkUnknown(eventingv1.TriggerConditionSubscribed, l.missing, "%s", l.why)
	} else {
		s.broker = l.broker
		for _, phase := range phases {
			again = append(again, phase(r, ctx, s))
		}
	}
	dataplane.Summarize(s.manage(), conditions...)
	dataplane.Announce(ctx, s.before.Status.Conditions, t, announced...)
	return dataplane.Again(again...)
}

func (r *Reconciler) propagateBroker(_ context.Context, s *subject) time.Duration {
	const t = eventingv1.TriggerConditionBroker
	ready := s.broker.Status.GetTopLevelCondition()
	switch {
	case ready == nil:
		s.Status.MarkBrokerNotConfigured()
	case ready.IsTrue():
		s.manage().MarkTrue(t)
	case ready.IsFalse():
		s.manage().MarkFalse(t, ready.Reason, "%s", ready.Message)
	default:
		s.manage().MarkUnknown(t, ready.Reason, "%s", ready.Message)
	}
	return 0
}

// identity is about OIDC: Leat makes no identity for a Trigger, because it does
// not send tokens.
func (r *Reconciler) identity(ctx context.Context, s *subject) time.Duration {
	s.Status.Auth = nil
	if feature.FromContext(ctx).IsOIDCAuthentication() {
		s.Status.MarkOIDCIdentityCreatedFailed(dataplane.ReasonNoAuthentication,
			"The feature %s is enabled, but Leat does not tell subscribers who it is.", feature.OIDCAuthentication)
		return 0
	}
	s.Status.MarkOIDCIdentityCreatedSucceededWithReason(dataplane.ReasonOIDCDisabled, "")
	return 0
}
