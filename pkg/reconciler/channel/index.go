package channel

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
)

const (
	// bySubscriber finds channels by their subscribers, and Subscriptions that
	// are subscribers, by indexKey.
	bySubscriber = "leat.dev/subscriber"
	// byService finds channels by the namespace/name of their Service.
	byService = "leat.dev/service"
)

// indexKey is that of a subscriber of a channel in a namespace.
func indexKey(namespace string, s *eventingduckv1.SubscriberSpec) string {
	if s.UID != "" {
		return "uid:" + string(s.UID)
	}
	return "name:" + namespace + "/" + ptr.Deref(s.Name, "")
}

// subscriptionKeys are those under which a Subscription can be a subscriber.
func subscriptionKeys(s metav1.Object) []string {
	return []string{
		"uid:" + string(s.GetUID()),
		"name:" + types.NamespacedName{Namespace: s.GetNamespace(), Name: s.GetName()}.String(),
	}
}

func indexChannelBySubscriber(obj any) ([]string, error) {
	c, err := channelOf(obj)
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(c.Spec.Subscribers))
	for i := range c.Spec.Subscribers {
		keys = append(keys, indexKey(c.Namespace, &c.Spec.Subscribers[i]))
	}
	return keys, nil
}

func indexByService(obj any) ([]string, error) {
	c, err := channelOf(obj)
	if err != nil {
		return nil, err
	}
	return []string{types.NamespacedName{Namespace: c.Namespace, Name: serviceName(c)}.String()}, nil
}

func channelOf(obj any) (*v1alpha1.LeatChannel, error) {
	c, ok := obj.(*v1alpha1.LeatChannel)
	if !ok {
		return nil, fmt.Errorf("BUG: %T among the LeatChannels", obj)
	}
	return c, nil
}

func indexSubscription(obj any) ([]string, error) {
	s, ok := obj.(*messagingv1.Subscription)
	if !ok {
		return nil, fmt.Errorf("BUG: %T among the Subscriptions", obj)
	}
	return subscriptionKeys(s), nil
}
