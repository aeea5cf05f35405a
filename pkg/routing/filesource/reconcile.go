package filesource

import (
	"fmt"

	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// The reason of a condition that is false, for all of them: without a cluster
// only the message is read.
const unresolvedReason = "NotResolved"

// reconciler does for the objects of a world what controllers do in a cluster:
// it fills in their status, backs Channels with LeatChannels and gives those
// their subscribers.
type reconciler struct {
	*resolver
	in       build.Input
	problems []routing.Problem
	// files by Problem.Object, and what a Problem shall call the object instead.
	files   map[string]string
	aliases map[string]string
	// channels by name, with the file that they are from.
	channels map[routing.StreamName]*v1alpha1.LeatChannel
}

// reconcile makes build's input of a world, whose objects it does not change.
func reconcile(w world, base *apis.URL) *reconciler {
	r := &reconciler{
		resolver: newResolver(base, w),
		files:    make(map[string]string), aliases: make(map[string]string),
		channels: make(map[routing.StreamName]*v1alpha1.LeatChannel),
	}
	// Channels first: Subscriptions look for them, whatever their order.
	for _, o := range w.objects {
		r.files[o.key.String()] = o.file
		switch obj := o.obj.(type) {
		case *messagingv1.Channel:
			r.backedChannel(o, obj)
		case *v1alpha1.LeatChannel:
			r.channel(o, obj.DeepCopy())
		}
	}
	for _, o := range w.objects {
		switch obj := o.obj.(type) {
		case *eventingv1.Broker:
			r.broker(obj.DeepCopy())
		case *eventingv1.Trigger:
			r.trigger(obj.DeepCopy())
		case *messagingv1.Subscription:
			r.subscription(o, obj.DeepCopy())
		}
	}
	return r
}

func (r *reconciler) problem(o object, format string, args ...any) {
	r.problems = append(r.problems, routing.Problem{File: o.file, Object: o.key.String(), Reason: fmt.Sprintf(format, args...)})
}

// take gives build's problems their files.
func (r *reconciler) take(problems []routing.Problem) {
	for _, p := range problems {
		if alias, ok := r.aliases[p.Object]; ok {
			p.Object = alias
		}
		p.File = r.files[p.Object]
		r.problems = append(r.problems, p)
	}
}

func (r *reconciler) broker(b *eventingv1.Broker) {
	if sink, err := r.sink(b.Spec.Delivery, b.Namespace); err != nil {
		b.Status.MarkDeadLetterSinkResolvedFailed(unresolvedReason, "%v", err)
	} else {
		b.Status.DeliveryStatus = sink
	}
	r.in.Brokers = append(r.in.Brokers, b)
}

func (r *reconciler) trigger(t *eventingv1.Trigger) {
	if addr, err := r.resolve(&t.Spec.Subscriber, t.Namespace); err != nil {
		t.Status.MarkSubscriberResolvedFailed(unresolvedReason, "%v", err)
	} else {
		t.Status.SubscriberURI, t.Status.SubscriberCACerts, t.Status.SubscriberAudience = addr.URL, addr.CACerts, addr.Audience
	}
	if sink, err := r.sink(t.Spec.Delivery, t.Namespace); err != nil {
		t.Status.MarkDeadLetterSinkResolvedFailed(unresolvedReason, "%v", err)
	} else {
		t.Status.DeliveryStatus = sink
	}
	r.in.Triggers = append(r.in.Triggers, t)
}

func (r *reconciler) backedChannel(o object, c *messagingv1.Channel) {
	lc, err := leatChannelOf(c)
	if err != nil {
		panic("BUG: a Channel that was found valid cannot be backed: " + err.Error())
	}
	backing := key{kindLeatChannel, o.key.namespace, o.key.name}.String()
	if _, taken := r.files[backing]; !taken {
		r.aliases[backing] = o.key.String()
	}
	r.channel(o, lc)
}

// channel takes a LeatChannel, of its own or behind a Channel: both together
// would be one stream.
func (r *reconciler) channel(o object, c *v1alpha1.LeatChannel) {
	name := routing.StreamName{Kind: routing.Channel, Namespace: c.Namespace, Name: c.Name}
	if r.channels[name] != nil {
		other := key{kindChannel, c.Namespace, c.Name}
		if o.key.kind == kindChannel {
			other.kind = kindLeatChannel
		}
		r.problem(o, "%s in %s is the same channel; that one is used", other, r.files[other.String()])
		return
	}
	if sink, err := r.sink(c.Spec.Delivery, c.Namespace); err != nil {
		c.Status.SetConditions(apis.Conditions{{
			Type: eventingv1.BrokerConditionDeadLetterSinkResolved, Status: "False", Reason: unresolvedReason, Message: err.Error(),
		}})
	} else {
		c.Status.DeliveryStatus = sink
	}
	r.channels[name] = c
	r.in.Channels = append(r.in.Channels, c)
}

// subscription makes a Subscription a subscriber of its channel.
func (r *reconciler) subscription(o object, s *messagingv1.Subscription) {
	ref := s.Spec.Channel
	name, ok := r.streams[key{ref.Kind, s.Namespace, ref.Name}]
	if _, known := kinds[typeName{ref.APIVersion, ref.Kind}]; !known || !ok || name.Kind != routing.Channel {
		r.problem(o, "there is no %s %s/%s of %s in the manifests", ref.Kind, s.Namespace, ref.Name, ref.APIVersion)
		return
	}
	channel := r.channels[name]
	subscriber := eventingduckv1.SubscriberSpec{Name: ptr.To(s.Name)}
	if err := r.subscriber(&subscriber, s); err != nil {
		s.Status.MarkReferencesNotResolved(unresolvedReason, "%v", err)
		subscriber = eventingduckv1.SubscriberSpec{Name: ptr.To(s.Name)}
	}
	channel.Spec.Subscribers = append(channel.Spec.Subscribers, subscriber)
	r.in.Subscriptions = append(r.in.Subscriptions, s)
}

// subscriber fills in what a Subscription's references lead to: all of them, or
// it is of no use.
func (r *reconciler) subscriber(out *eventingduckv1.SubscriberSpec, s *messagingv1.Subscription) error {
	if d := s.Spec.Subscriber; d != nil {
		addr, err := r.resolve(d, s.Namespace)
		if err != nil {
			return fmt.Errorf("spec.subscriber: %w", err)
		}
		out.SubscriberURI, out.SubscriberCACerts, out.SubscriberAudience = addr.URL, addr.CACerts, addr.Audience
	}
	if d := s.Spec.Reply; d != nil && *d != (duckv1.Destination{}) {
		addr, err := r.resolve(d, s.Namespace)
		if err != nil {
			return fmt.Errorf("spec.reply: %w", err)
		}
		out.ReplyURI, out.ReplyCACerts, out.ReplyAudience = addr.URL, addr.CACerts, addr.Audience
	}
	sink, err := r.sink(s.Spec.Delivery, s.Namespace)
	if err != nil {
		return fmt.Errorf("spec.delivery.deadLetterSink: %w", err)
	}
	if out.Delivery = s.Spec.Delivery.DeepCopy(); sink.IsSet() {
		out.Delivery.DeadLetterSink = ptr.To(eventingduckv1.NewDestinationFromDeliveryStatus(sink))
	}
	return nil
}

// sink resolves the dead letter sink of a DeliverySpec, if it names one.
func (r *reconciler) sink(spec *eventingduckv1.DeliverySpec, namespace string) (eventingduckv1.DeliveryStatus, error) {
	if spec == nil || spec.DeadLetterSink == nil {
		return eventingduckv1.DeliveryStatus{}, nil
	}
	addr, err := r.resolve(spec.DeadLetterSink, namespace)
	if err != nil {
		return eventingduckv1.DeliveryStatus{}, err
	}
	return eventingduckv1.NewDeliveryStatusFromAddressable(addr), nil
}
