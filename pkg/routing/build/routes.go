package build

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/kmeta"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing"
)

// The kinds of routes.
const (
	kindTrigger      = "Trigger"
	kindSubscription = "Subscription"
)

// routeID is stable across updates of an object, and another one for an object
// that was deleted and made again.
func routeID(kind, namespace, name string, uid types.UID) string {
	id := strings.ToLower(kind) + "/" + namespace + "/" + name
	if uid != "" {
		id += "/" + string(uid)
	}
	return id
}

func (b *builder) trigger(t *eventingv1.Trigger) {
	if t.DeletionTimestamp != nil {
		return
	}
	r := &routing.Route{
		ID:   routeID(kindTrigger, t.Namespace, t.Name, t.UID),
		Kind: kindTrigger, Namespace: t.Namespace, Name: t.Name,
		Stream: BrokerOf(t),
		Filter: filter(&t.Spec),
	}
	if b.others[r.Stream] {
		return
	}
	p, without := b.brokerFor(r)
	if p == nil {
		b.problem(r.String(), "%s", without)
		return
	}
	b.options(r.String(), t.Annotations, p.options).set(r)
	dest, missing := destination(t.Status.SubscriberURI, t.Status.SubscriberCACerts, t.Status.SubscriberAudience)
	if missing == notResolved {
		missing = cmp.Or(message(&t.Status, eventingv1.TriggerConditionSubscriberResolved), missing)
	}
	r.Subscriber = dest
	r.Unresolved = cmp.Or(without, unresolved("the subscriber", missing))
	own := deadLetterSink(t.Spec.Delivery, t.Status.DeliveryStatus,
		message(&t.Status, eventingv1.TriggerConditionDeadLetterSinkResolved))
	b.deliver(r, t.Spec.Delivery, own, p)
	b.add(p, r)
}

// brokerFor is the Broker that a Trigger's route reads, and why it gets no
// events from it. A Broker of another namespace is there even while the feature
// is off, so that the Trigger keeps its place when somebody turns it off and on.
func (b *builder) brokerFor(r *routing.Route) (p *parent, without string) {
	p = b.parents[r.Stream]
	switch {
	case r.Stream.Namespace != r.Namespace && !b.opts.CrossNamespace:
		return p, fmt.Sprintf("spec.brokerRef names a Broker of another namespace, %s, which is not enabled", quote(r.Stream.Namespace))
	case p != nil:
		return p, ""
	case b.leaving[r.Stream]:
		return nil, fmt.Sprintf("Broker %s/%s is being deleted", r.Stream.Namespace, r.Stream.Name)
	}
	return nil, fmt.Sprintf("Broker %s/%s does not exist", r.Stream.Namespace, r.Stream.Name)
}

// BrokerOf is the stream of the Broker whose events a Trigger gets, whether
// there is such a Broker or not.
func BrokerOf(t *eventingv1.Trigger) routing.StreamName {
	name := routing.StreamName{Kind: routing.Broker, Namespace: t.Namespace, Name: t.Spec.Broker}
	if ref := t.Spec.BrokerRef; ref != nil {
		name.Namespace, name.Name = cmp.Or(ref.Namespace, t.Namespace), ref.Name
	}
	return name
}

func (b *builder) channel(c *v1alpha1.LeatChannel) {
	if c.DeletionTimestamp != nil {
		return
	}
	object := "LeatChannel " + c.Namespace + "/" + c.Name
	name := routing.StreamName{Kind: routing.Channel, Namespace: c.Namespace, Name: c.Name}
	p := b.parent(object, name, &c.ObjectMeta, c.Status.Annotations, c.Spec.Delivery)
	p.stream.Hosts = hosts(c.Namespace, c.Name, b.opts.ClusterDomain)
	p.sink = deadLetterSink(c.Spec.Delivery, c.Status.DeliveryStatus,
		message(&c.Status.Status, eventingv1.BrokerConditionDeadLetterSinkResolved))
	for i := range c.Spec.Subscribers {
		b.subscriber(object, c, &c.Spec.Subscribers[i], p)
	}
}

// hosts are the names under which a channel's Service is reached in a cluster,
// longest first.
func hosts(namespace, name, domain string) []string {
	short := kmeta.ChildName(name, "-kn-channel") + "." + namespace
	return []string{short + ".svc." + domain, short + ".svc", short}
}

func (b *builder) subscriber(object string, c *v1alpha1.LeatChannel, s *eventingduckv1.SubscriberSpec, p *parent) {
	subscription := b.subscription(c.Namespace, s)
	r := &routing.Route{Kind: kindSubscription, Namespace: c.Namespace, Name: ptr.Deref(s.Name, ""), Stream: p.stream.Name}
	delivery, annotations, condition := s.Delivery, map[string]string(nil), ""
	if subscription != nil {
		r.Namespace, r.Name = subscription.Namespace, subscription.Name
		// The Subscription's own options are complete; upstream's controller
		// leaves some out when it copies them to the channel.
		delivery, annotations = subscription.Spec.Delivery, subscription.Annotations
		condition = message(&subscription.Status, messagingv1.SubscriptionConditionReferencesResolved)
	}
	if r.Name == "" && s.UID == "" {
		b.problem(object, "a subscriber in spec.subscribers has neither a uid nor a name, so its progress could not be kept")
		return
	}
	r.ID = routeID(kindSubscription, r.Namespace, r.Name, s.UID)
	b.options(r.String(), annotations, p.options).set(r)
	b.destinations(r, s, condition)
	b.deliver(r, delivery, subscriberSink(s, delivery), p)
	b.add(p, r)
}

// subscription is the object that a subscriber was made of, if it is known.
func (b *builder) subscription(namespace string, s *eventingduckv1.SubscriberSpec) *messagingv1.Subscription {
	if s.UID != "" {
		return b.byUID[s.UID]
	}
	return b.byName[types.NamespacedName{Namespace: namespace, Name: ptr.Deref(s.Name, "")}]
}

// destinations sets a subscriber's own and that of its replies. Either may be
// missing, but not both.
func (b *builder) destinations(r *routing.Route, s *eventingduckv1.SubscriberSpec, condition string) {
	if s.SubscriberURI.IsEmpty() && s.ReplyURI.IsEmpty() {
		r.Unresolved = unresolved("the subscriber", notResolved)
		if condition != "" {
			r.Unresolved = "its references cannot be resolved: " + condition
		}
		return
	}
	var missing string
	if !s.SubscriberURI.IsEmpty() {
		r.Subscriber, missing = destination(s.SubscriberURI, s.SubscriberCACerts, s.SubscriberAudience)
		r.Unresolved = unresolved("the subscriber", missing)
	}
	if !s.ReplyURI.IsEmpty() {
		r.Reply, missing = destination(s.ReplyURI, s.ReplyCACerts, s.ReplyAudience)
		r.Unresolved = cmp.Or(r.Unresolved, unresolved("the reply", missing))
	}
}

// subscriberSink is the sink of a subscriber, which holds the resolved URI in
// its spec. The channel's own may be in there as well, if the Subscription
// names none.
func subscriberSink(s *eventingduckv1.SubscriberSpec, own *eventingduckv1.DeliverySpec) sink {
	var status eventingduckv1.DeliveryStatus
	if s.Delivery != nil && s.Delivery.DeadLetterSink != nil {
		d := s.Delivery.DeadLetterSink
		status = eventingduckv1.DeliveryStatus{
			DeadLetterSinkURI: d.URI, DeadLetterSinkCACerts: d.CACerts, DeadLetterSinkAudience: d.Audience,
		}
	}
	return deadLetterSink(own, status, "")
}

// deliver sets a route's delivery options: all of its own or, if it has none,
// all of its parent's. The dead letter sink alone falls back to the parent's
// in both cases, as upstream's does.
func (b *builder) deliver(r *routing.Route, spec *eventingduckv1.DeliverySpec, own sink, p *parent) {
	r.Delivery = p.delivery
	if !saysNothing(spec) {
		r.Delivery = b.delivery(r.String(), spec)
	}
	s := own
	if !s.named {
		s = p.sink
	}
	if s.dest != nil {
		dest := *s.dest
		r.Delivery.DeadLetterSink = &dest
	}
	r.Unresolved = cmp.Or(r.Unresolved, unresolved("the dead letter sink", s.missing))
}

// add gives a finished route to its stream.
func (b *builder) add(p *parent, r *routing.Route) {
	if p.ids[r.ID] {
		b.problem(r.String(), "%s has a subscriber of this name and uid twice; the first one is used", p.stream.Name)
		return
	}
	p.ids[r.ID] = true
	if r.Unresolved != "" {
		b.problem(r.String(), "%s", r.Unresolved)
	}
	for _, dest := range []*routing.Destination{r.Subscriber, r.Reply, r.Delivery.DeadLetterSink} {
		if why := unreachable(dest); why != "" {
			b.problem(r.String(), "%s", why)
		}
	}
	p.stream.Routes = append(p.stream.Routes, r)
}

// conditioned is a status with conditions.
type conditioned interface {
	GetCondition(apis.ConditionType) *apis.Condition
}

// message is what a status says about a condition that is not met.
func message(status conditioned, condition apis.ConditionType) string {
	c := status.GetCondition(condition)
	if c == nil || c.IsTrue() {
		return ""
	}
	return c.Message
}

// unresolved is the reason why a route cannot be served, empty if nothing is
// missing.
func unresolved(what, missing string) string {
	if missing == "" {
		return ""
	}
	return fmt.Sprintf("%s cannot be used: %s", what, missing)
}
