package build_test

import (
	"maps"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// deleted is an object that waits for its finalizers.
func deleted(m *metav1.ObjectMeta) {
	now := metav1.Now()
	m.DeletionTimestamp = &now
	m.UID = "uid-deleted"
}

func TestWhatIsBeingDeletedIsLeftOut(t *testing.T) {
	gone, goneChannel := broker("gone"), channel("gone", subscriber("x"))
	deleted(&gone.ObjectMeta)
	deleted(&goneChannel.ObjectMeta)
	other := broker("other", func(b *eventingv1.Broker) {
		b.Annotations["eventing.knative.dev/broker.class"] = "MTChannelBasedBroker"
		deleted(&b.ObjectMeta)
	})
	in := build.Input{
		Brokers: []*eventingv1.Broker{broker("main"), gone, other},
		Triggers: []*eventingv1.Trigger{
			trigger("a"),
			trigger("leaves", func(tr *eventingv1.Trigger) { deleted(&tr.ObjectMeta) }),
			trigger("of-gone", func(tr *eventingv1.Trigger) { tr.Spec.Broker = "gone" }),
			trigger("of-other", func(tr *eventingv1.Trigger) { tr.Spec.Broker = "other" }),
			trigger("to-gone", func(tr *eventingv1.Trigger) { tr.Status.SubscriberURI = uri(base + "/shop/gone") }),
		},
		Channels:      []*v1alpha1.LeatChannel{channel("jobs", subscriber("y")), goneChannel},
		Subscriptions: []*messagingv1.Subscription{subscription("y", func(s *messagingv1.Subscription) { deleted(&s.ObjectMeta); s.UID = "uid-y" })},
	}
	all := streams(t, in, "Trigger shop/of-gone: Broker shop/gone is being deleted")
	if len(all) != 2 || all[brokerName("main")] == nil || all[channelName("jobs")] == nil {
		t.Fatalf("the streams are %v", all)
	}
	routes := all[brokerName("main")].Routes
	if len(routes) != 2 || routes[0].Name != "a" || routes[1].Subscriber.Local != nil {
		t.Errorf("the Broker has the routes %v", routes)
	}
	// A Subscription goes when its controller takes it out of the channel.
	if len(all[channelName("jobs")].Routes) != 1 {
		t.Errorf("the channel has the routes %v", all[channelName("jobs")].Routes)
	}
	want := map[routing.StreamName]string{brokerName("gone"): "uid-deleted", channelName("gone"): "uid-deleted"}
	if got := build.Removed(in); !maps.Equal(got, want) {
		t.Errorf("removed are %v, want %v", got, want)
	}
}
