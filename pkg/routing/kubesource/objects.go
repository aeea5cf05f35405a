package kubesource

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/kube/mirror"
	"leat.dev/leat/pkg/routing/build"
)

// objects is all that a table is made of, as the API server has it.
type objects struct {
	source        *Source
	brokers       *mirror.Mirror[*eventingv1.Broker]
	triggers      *mirror.Mirror[*eventingv1.Trigger]
	channels      *mirror.Mirror[*v1alpha1.LeatChannel]
	subscriptions *mirror.Mirror[*messagingv1.Subscription]
}

func (s *Source) newObjects() *objects {
	o := &objects{source: s}
	c := s.options.Clients
	o.brokers = mirror.New(c.Brokers, options(s, "Broker", trimBroker, brokerMatters))
	o.triggers = mirror.New(c.Triggers, options(s, "Trigger", trimTrigger, o.triggerMatters))
	o.channels = mirror.New(c.Channels, options(s, "LeatChannel", trimChannel, func(_, _ *v1alpha1.LeatChannel) bool { return true }))
	o.subscriptions = mirror.New(c.Subscriptions, options(s, "Subscription", trimSubscription, subscriptionMatters))
	return o
}

// options of a mirror that has a new table made after a change that matters.
func options[T mirror.Object](s *Source, kind string, trim func(T), matters func(old, now T) bool) mirror.Options[T] {
	return mirror.Options[T]{
		Kind: kind, Trim: trim, Log: s.options.Log,
		Changed: func(old, now T) {
			if matters(old, now) {
				s.touch()
			}
		},
		Unreadable: func(problem string) { s.setUnreadable(kind, problem) },
	}
}

func (o *objects) runs() []func(context.Context) {
	return []func(context.Context){o.brokers.Run, o.triggers.Run, o.channels.Run, o.subscriptions.Run}
}

func (o *objects) loaded() []<-chan struct{} {
	return []<-chan struct{}{o.brokers.Loaded(), o.triggers.Loaded(), o.channels.Loaded(), o.subscriptions.Loaded()}
}

func (o *objects) input() build.Input {
	return build.Input{
		Brokers: o.brokers.List(), Triggers: o.triggers.List(),
		Channels: o.channels.List(), Subscriptions: o.subscriptions.List(),
	}
}

// What matters is a coarse sieve, for classes and kinds of others alone:
// whether a change of ours makes another table is seen when it is built.

// ours is whether a Broker is of Leat's class.
func ours(b *eventingv1.Broker) bool {
	return b.Annotations[eventing.BrokerClassKey] == build.BrokerClass
}

// brokerMatters leaves out the updates of Brokers of another class. Whether
// one is there matters: its Triggers are not ours to judge.
func brokerMatters(old, now *eventingv1.Broker) bool {
	return old == nil || now == nil || ours(old) || ours(now)
}

// triggerMatters leaves out Triggers whose Broker is known to be of another
// class. If that is no longer so, the Broker's change makes a table.
func (o *objects) triggerMatters(old, now *eventingv1.Trigger) bool {
	for _, t := range []*eventingv1.Trigger{old, now} {
		if t == nil {
			continue
		}
		name := build.BrokerOf(t)
		if b := o.brokers.Get(name.Namespace, name.Name); b == nil || ours(b) {
			return true
		}
	}
	return false
}

// subscriptionMatters leaves out Subscriptions to channels of another kind.
func subscriptionMatters(old, now *messagingv1.Subscription) bool {
	return (old != nil && mayBeOurs(old)) || (now != nil && mayBeOurs(now))
}

// mayBeOurs is whether a Subscription is to a LeatChannel, or to a Channel,
// which one may be behind.
func mayBeOurs(s *messagingv1.Subscription) bool {
	return s.Spec.Channel.Kind == "LeatChannel" || s.Spec.Channel.Kind == "Channel"
}

// What is trimmed: whatever no table can depend on, and all but the identity
// of what belongs to others. A cluster may have many times more of that than
// of ours.

func trimMeta(m *metav1.ObjectMeta) {
	m.ManagedFields, m.OwnerReferences, m.Labels = nil, nil, nil
	delete(m.Annotations, corev1.LastAppliedConfigAnnotation)
}

// trimStatus keeps the conditions that are not met: they tell the reason.
func trimStatus(s *duckv1.Status) {
	var kept duckv1.Conditions
	for _, c := range s.Conditions {
		if !c.IsTrue() {
			kept = append(kept, apis.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message})
		}
	}
	s.Conditions = kept
}

func trimBroker(b *eventingv1.Broker) {
	trimMeta(&b.ObjectMeta)
	trimStatus(&b.Status.Status)
	if !ours(b) {
		b.Annotations = map[string]string{eventing.BrokerClassKey: b.Annotations[eventing.BrokerClassKey]}
		b.Spec, b.Status = eventingv1.BrokerSpec{}, eventingv1.BrokerStatus{}
	}
}

func trimTrigger(t *eventingv1.Trigger) {
	trimMeta(&t.ObjectMeta)
	trimStatus(&t.Status.Status)
}

func trimChannel(c *v1alpha1.LeatChannel) {
	trimMeta(&c.ObjectMeta)
	trimStatus(&c.Status.Status)
}

func trimSubscription(s *messagingv1.Subscription) {
	trimMeta(&s.ObjectMeta)
	trimStatus(&s.Status.Status)
	if !mayBeOurs(s) {
		s.Annotations, s.Status = nil, messagingv1.SubscriptionStatus{}
		s.Spec = messagingv1.SubscriptionSpec{Channel: duckv1.KReference{Kind: s.Spec.Channel.Kind}}
	}
}
