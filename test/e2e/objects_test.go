//go:build e2e

package e2e

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
)

func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

// broker makes a Broker and returns its address once it is ready.
func (w *world) broker(name, class string, change ...func(*eventingv1.Broker)) *apis.URL {
	w.Helper()
	b := &eventingv1.Broker{ObjectMeta: meta(name)}
	b.Annotations = map[string]string{eventingv1.BrokerClassAnnotationKey: class}
	for _, c := range change {
		c(b)
	}
	_, err := cluster.eventing.EventingV1().Brokers(w.ns).Create(w.ctx, b, metav1.CreateOptions{})
	w.must(err)
	return ready(w, func() (*eventingv1.Broker, error) {
		return cluster.eventing.EventingV1().Brokers(w.ns).Get(w.ctx, name, metav1.GetOptions{})
	}).Status.Address.URL
}

// trigger makes a Trigger and waits until it is ready.
func (w *world) trigger(name, broker string, to duckv1.Destination, change ...func(*eventingv1.Trigger)) {
	w.Helper()
	t := &eventingv1.Trigger{ObjectMeta: meta(name), Spec: eventingv1.TriggerSpec{Broker: broker, Subscriber: to}}
	for _, c := range change {
		c(t)
	}
	_, err := cluster.eventing.EventingV1().Triggers(w.ns).Create(w.ctx, t, metav1.CreateOptions{})
	w.must(err)
	ready(w, func() (*eventingv1.Trigger, error) { return w.getTrigger(name) })
}

func (w *world) getTrigger(name string) (*eventingv1.Trigger, error) {
	return cluster.eventing.EventingV1().Triggers(w.ns).Get(w.ctx, name, metav1.GetOptions{})
}

// ofType is a filter.
func ofType(typ string) func(*eventingv1.Trigger) {
	return func(t *eventingv1.Trigger) {
		t.Spec.Filter = &eventingv1.TriggerFilter{Attributes: eventingv1.TriggerFilterAttributes{"type": typ}}
	}
}

// leatChannel makes a LeatChannel and returns its address once it is ready.
func (w *world) leatChannel(name string) *apis.URL {
	w.Helper()
	_, err := cluster.leat.MessagingV1alpha1().LeatChannels(w.ns).Create(w.ctx,
		&v1alpha1.LeatChannel{ObjectMeta: meta(name)}, metav1.CreateOptions{})
	w.must(err)
	return ready(w, func() (*v1alpha1.LeatChannel, error) {
		return cluster.leat.MessagingV1alpha1().LeatChannels(w.ns).Get(w.ctx, name, metav1.GetOptions{})
	}).Status.Address.URL
}

var (
	leatChannelKind = metav1.TypeMeta{APIVersion: "messaging.knative.dev/v1alpha1", Kind: "LeatChannel"}
	leatTemplate    = messagingv1.ChannelTemplateSpec{TypeMeta: leatChannelKind}
)

// subscribe makes a Subscription and waits until it is ready.
func (w *world) subscribe(name string, channel metav1.TypeMeta, channelName string, to duckv1.Destination, change ...func(*messagingv1.Subscription)) {
	w.Helper()
	s := &messagingv1.Subscription{ObjectMeta: meta(name), Spec: messagingv1.SubscriptionSpec{
		Channel:    duckv1.KReference{APIVersion: channel.APIVersion, Kind: channel.Kind, Name: channelName},
		Subscriber: &to,
	}}
	for _, c := range change {
		c(s)
	}
	_, err := cluster.eventing.MessagingV1().Subscriptions(w.ns).Create(w.ctx, s, metav1.CreateOptions{})
	w.must(err)
	ready(w, func() (*messagingv1.Subscription, error) {
		return cluster.eventing.MessagingV1().Subscriptions(w.ns).Get(w.ctx, name, metav1.GetOptions{})
	})
}

// deadLettersTo is a delivery with a dead letter sink.
func deadLettersTo(sink duckv1.Destination) *eventingduckv1.DeliverySpec {
	return &eventingduckv1.DeliverySpec{DeadLetterSink: &sink}
}
