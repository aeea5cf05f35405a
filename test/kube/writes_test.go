package kube

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"

	"leat.dev/leat/test/harness"
)

// Nobody writes a status again that is right as it is.
func TestNothingIsWrittenWhenNothingChanged(t *testing.T) {
	r := calm(t).room(t)
	r.everything(harness.NewSubscriber(t, nil))
	// Not Ready is a state to rest in as well.
	r.trigger("lonely", "nowhere", "http://example.com")
	r.waitTriggerSays("lonely", "BrokerReady", "BrokerDoesNotExist", "")
	r.trigger("wrong", "orders", "http://example.com", func(tr *eventingv1.Trigger) {
		tr.Spec.Filters = []eventingv1.SubscriptionsAPIFilter{{CESQL: "type = = 'x'"}}
	})
	r.waitTriggerSays("wrong", "SubscriptionReady", "NotServed", "type = = 'x'")
	r.mustNotChange(r.versions())
}

// everything makes some of all that is reconciled, and waits until it is Ready.
func (r *room) everything(sub *harness.Subscriber) {
	r.t.Helper()
	r.broker("orders", func(b *eventingv1.Broker) { b.Spec.Delivery = delivery(2, sink(sub.URL+"/dead")) })
	r.broker("returns")
	r.trigger("all", "orders", sub.URL+"/all")
	r.trigger("some", "orders", sub.URL+"/some", forType("some"), retries(3))
	r.trigger("returns", "returns", sub.URL+"/returns")
	r.channel("jobs")
	r.subscribe("jobs", subscriber("worker", sub.URL+"/worker"))
	r.waitBroker("orders")
	r.waitBroker("returns")
	r.waitTriggers(3)
	r.waitChannel("jobs")
}

// versions returns the resourceVersions of the room's objects.
func (r *room) versions() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	brokers, err := r.brokers.List(r.t.Context(), metav1.ListOptions{})
	must(r.t, err)
	for _, o := range brokers.Items {
		all["Broker "+o.Name] = o.ResourceVersion
	}
	triggers, err := r.triggers.List(r.t.Context(), metav1.ListOptions{})
	must(r.t, err)
	for _, o := range triggers.Items {
		all["Trigger "+o.Name] = o.ResourceVersion
	}
	channels, err := r.channels.List(r.t.Context(), metav1.ListOptions{})
	must(r.t, err)
	for _, o := range channels.Items {
		all["LeatChannel "+o.Name] = o.ResourceVersion
	}
	services, err := r.kube.CoreV1().Services(r.name).List(r.t.Context(), metav1.ListOptions{})
	must(r.t, err)
	for _, o := range services.Items {
		all["Service "+o.Name] = o.ResourceVersion
	}
	return all
}

// mustNotChange fails the test if one of the objects was written, or is in the
// next seconds.
func (r *room) mustNotChange(before map[string]string) {
	r.t.Helper()
	err := poll(r.t.Context(), 4*time.Second, func(context.Context) error {
		now := r.versions()
		for name := range before {
			if now[name] != before[name] {
				return nil
			}
		}
		return fmt.Errorf("they are all as they were")
	})
	if err == nil {
		now := r.versions()
		maps.DeleteFunc(before, func(name, version string) bool { return now[name] == version })
		for name := range before {
			r.t.Errorf("%s was written, though nothing had changed", name)
		}
	}
}
