package kubesource

import (
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/kube/mirror"
)

// Clients read the objects of all namespaces.
type Clients struct {
	Brokers       mirror.Client[*eventingv1.BrokerList]
	Triggers      mirror.Client[*eventingv1.TriggerList]
	Channels      mirror.Client[*v1alpha1.LeatChannelList]
	Subscriptions mirror.Client[*messagingv1.SubscriptionList]
}

// NewClients returns the Clients of an API server.
func NewClients(api mirror.API) (Clients, error) {
	var c Clients
	err := errors.Join(
		connect(api, &c.Brokers, eventingv1.SchemeGroupVersion, "brokers",
			func() *eventingv1.Broker { return &eventingv1.Broker{} }, func() *eventingv1.BrokerList { return &eventingv1.BrokerList{} }),
		connect(api, &c.Triggers, eventingv1.SchemeGroupVersion, "triggers",
			func() *eventingv1.Trigger { return &eventingv1.Trigger{} }, func() *eventingv1.TriggerList { return &eventingv1.TriggerList{} }),
		connect(api, &c.Channels, v1alpha1.SchemeGroupVersion, "leatchannels",
			func() *v1alpha1.LeatChannel { return &v1alpha1.LeatChannel{} },
			func() *v1alpha1.LeatChannelList { return &v1alpha1.LeatChannelList{} }),
		connect(api, &c.Subscriptions, messagingv1.SchemeGroupVersion, "subscriptions",
			func() *messagingv1.Subscription { return &messagingv1.Subscription{} },
			func() *messagingv1.SubscriptionList { return &messagingv1.SubscriptionList{} }),
	)
	return c, err
}

func connect[T mirror.Object, L runtime.Object](
	api mirror.API, to *mirror.Client[L], group schema.GroupVersion, name string, one func() T, list func() L,
) (err error) {
	*to, err = mirror.NewClient(api, mirror.Resource[T, L]{Group: group, Name: name, New: one, NewList: list})
	return err
}
