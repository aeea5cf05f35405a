package trigger

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/reconciler/dataplane"
)

// subscriber resolves where the events go. A subscriber that leads nowhere
// clears the URI; the data plane then keeps the Trigger's place in the stream
// and delivers nothing.
func (r *Reconciler) subscriber(ctx context.Context, s *subject) time.Duration {
	const t = eventingv1.TriggerConditionSubscriberResolved
	addr, err := dataplane.Resolve(ctx, r.resolver, s.Spec.Subscriber, s.Trigger)
	switch {
	case err == nil:
		s.Status.SubscriberURI, s.Status.SubscriberCACerts, s.Status.SubscriberAudience = addr.URL, addr.CACerts, addr.Audience
		s.Status.MarkSubscriberResolvedSucceeded()
		return 0
	case !dataplane.Temporary(err):
		s.Status.SubscriberURI, s.Status.SubscriberCACerts, s.Status.SubscriberAudience = nil, nil, nil
		s.Status.MarkSubscriberResolvedFailed(dataplane.ReasonUnresolved, "%s", dataplane.Clip(err.Error()))
		return dataplane.Later
	}
	s.tryAgain(t, err)
	return dataplane.Soon
}

// tryAgain is about what could not be resolved now. What was resolved before
// stays, so that a busy API server does not stop the events; and if nothing
// has changed since, it still counts.
func (s *subject) tryAgain(t apis.ConditionType, err error) {
	if s.Status.ObservedGeneration != s.Generation || !s.manage().GetCondition(t).IsTrue() {
		s.manage().MarkUnknown(t, dataplane.ReasonTryingAgain, "%s", dataplane.Clip(err.Error()))
	}
}

// deadLetterSink resolves the Trigger's own sink, or takes the Broker's.
func (r *Reconciler) deadLetterSink(ctx context.Context, s *subject) time.Duration {
	const t = eventingv1.TriggerConditionDeadLetterSinkResolved
	if own := s.Spec.Delivery; own == nil || own.DeadLetterSink == nil {
		r.brokersSink(s)
		return 0
	}
	addr, err := dataplane.Resolve(ctx, r.resolver, *s.Spec.Delivery.DeadLetterSink, s.Trigger)
	switch {
	case err == nil:
		s.Status.DeliveryStatus = eventingduckv1.NewDeliveryStatusFromAddressable(addr)
		s.Status.MarkDeadLetterSinkResolvedSucceeded()
		return 0
	case !dataplane.Temporary(err):
		s.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{}
		s.Status.MarkDeadLetterSinkResolvedFailed(dataplane.ReasonUnresolved, "%s", dataplane.Clip(err.Error()))
		return dataplane.Later
	}
	s.tryAgain(t, err)
	return dataplane.Soon
}

func (r *Reconciler) brokersSink(s *subject) {
	const t = eventingv1.TriggerConditionDeadLetterSinkResolved
	broker := s.broker
	s.Status.DeliveryStatus = *broker.Status.DeliveryStatus.DeepCopy()
	c := broker.Status.GetCondition(eventingv1.BrokerConditionDeadLetterSinkResolved)
	switch {
	case broker.Spec.Delivery == nil || broker.Spec.Delivery.DeadLetterSink == nil:
		s.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{}
		s.Status.MarkDeadLetterSinkNotConfigured()
	case s.Status.IsSet():
		s.Status.MarkDeadLetterSinkResolvedSucceeded()
	case c.IsFalse():
		s.Status.MarkDeadLetterSinkResolvedFailed(dataplane.ReasonUnresolved,
			"The dead letter sink of Broker %q is not resolved: %s", broker.Name, c.Message)
	default:
		s.manage().MarkUnknown(t, dataplane.ReasonUnresolved,
			"The dead letter sink of Broker %q is not resolved yet.", broker.Name)
	}
}

// dependency tells of the source that the Trigger names in an annotation. Its
// reasons are those of Knative's own reconciler.
func (r *Reconciler) dependency(ctx context.Context, s *subject) time.Duration {
	const t = eventingv1.TriggerConditionDependency
	text, ok := s.Annotations[eventingv1.DependencyAnnotation]
	if !ok {
		s.Status.MarkDependencySucceeded()
		return 0
	}
	ref, err := eventingv1.GetObjRefFromDependencyAnnotation(text)
	if err != nil {
		s.Status.MarkDependencyFailed("ReferenceError", "The annotation %s is no reference to an object: %s",
			eventingv1.DependencyAnnotation, dataplane.Clip(err.Error()))
		return 0
	}
	source, reason, err := r.source(ctx, s, ref)
	switch {
	case apierrors.IsNotFound(err) && reason == "":
		s.Status.MarkDependencyFailed("DependencyDoesNotExist", "Dependency does not exist: %v", err)
		return 0
	case err != nil:
		s.Status.MarkDependencyUnknown(reason, "Failed to get dependency: %s", dataplane.Clip(err.Error()))
		return dataplane.Later
	}
	ready := source.Status.GetCondition(apis.ConditionReady)
	switch {
	case source.Generation != source.Status.ObservedGeneration:
		s.Status.MarkDependencyUnknown("GenerationNotEqual",
			"The dependency's generation %d is not the one that its status is about, %d.", source.Generation, source.Status.ObservedGeneration)
	case ready == nil:
		s.Status.MarkDependencyNotConfigured()
	case ready.IsTrue():
		s.Status.MarkDependencySucceeded()
	case ready.IsFalse():
		s.manage().MarkFalse(t, ready.Reason, "%s", ready.Message)
	default:
		s.manage().MarkUnknown(t, ready.Reason, "%s", ready.Message)
	}
	return 0
}

// source finds the dependency and tracks it. An error has a reason, unless it
// says that there is no such object.
func (r *Reconciler) source(ctx context.Context, s *subject, ref corev1.ObjectReference) (_ *duckv1.Source, reason string, _ error) {
	if err := r.sources.TrackInNamespace(ctx, s.Trigger)(ref); err != nil {
		return nil, "ListerDoesNotExist", err
	}
	lister, err := r.sources.ListerFor(ref)
	if err != nil {
		return nil, "ListerDoesNotExist", err
	}
	object, err := lister.ByNamespace(s.Namespace).Get(ref.Name)
	if apierrors.IsNotFound(err) {
		return nil, "", err
	}
	if err != nil {
		return nil, "DependencyGetFailed", err
	}
	source, ok := object.(*duckv1.Source)
	if !ok {
		panic(fmt.Sprintf("BUG: %T among the sources", object))
	}
	return source, "", nil
}
