package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/test/harness"
)

func TestBrokerThenTrigger(t *testing.T) {
	r := calm(t).room(t)
	r.broker("orders")
	b := r.waitBroker("orders")
	for _, condition := range []apis.ConditionType{"IngressReady", "Addressable", "DeadLetterSinkResolved", "EventPoliciesReady"} {
		if c := b.Status.GetCondition(condition); !c.IsTrue() {
			t.Errorf("the Broker is Ready, but its condition %s is %+v", condition, c)
		}
	}
	want := "http://leat-ingress.knative-eventing.svc.cluster.local/" + r.name + "/orders"
	if got := b.Status.Address.URL.String(); got != want {
		t.Errorf("the Broker's address is %s, want %s", got, want)
	}
	if len(b.Status.Addresses) != 1 || b.Status.Addresses[0].URL.String() != want {
		t.Errorf("the Broker's addresses are %v, want only %s", b.Status.Addresses, want)
	}

	sub := harness.NewSubscriber(t, nil)
	r.trigger("all", "orders", sub.URL)
	tr := r.waitTrigger("all")
	if got := tr.Status.SubscriberURI.String(); got != sub.URL {
		t.Errorf("the Trigger's subscriberUri is %s, want %s", got, sub.URL)
	}
	r.target(t, b.Status.Address).send(t, "1")
	sub.WaitEvent(t, "1")
}

func TestTriggerThenBroker(t *testing.T) {
	r := calm(t).room(t)
	sub := harness.NewSubscriber(t, nil)
	r.trigger("early", "orders", sub.URL)
	r.waitTriggerSays("early", "BrokerReady", "BrokerDoesNotExist", "")

	to := r.orders()
	r.waitTrigger("early")
	to.send(t, "1")
	sub.WaitEvent(t, "1")
}

// What is stored of a Broker goes with it, and whoever sends to it is told.
func TestBrokerDeleted(t *testing.T) {
	r := calm(t).room(t)
	to := r.orders()
	r.trigger("failing", "orders", harness.ReservePort(t).URL, retries(1000))
	r.waitTrigger("failing")
	to.send(t, numbered("old", 10)...)
	r.waitFailing("orders", "failing", 10)

	r.deleteBroker("orders")
	if s, ok := r.stream("orders"); ok {
		t.Errorf("the Broker is gone, but of its stream there is still %+v", s)
	}
	if a, err := to.post(t.Context(), "late"); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("an event for a Broker that is gone: %v, answered %d %s; want 404", err, a.Status, a.Body)
	}
	r.waitTriggerSays("failing", "BrokerReady", "BrokerDoesNotExist", "")
}

// A Broker of the same name is another one: it begins empty.
func TestBrokerRecreatedAtOnce(t *testing.T) {
	r := calm(t).room(t)
	to := r.orders()
	sub, open := closedSubscriber(t)
	triggers := []string{"one", "two", "three"}
	for _, name := range triggers {
		r.trigger(name, "orders", sub.URL+"/"+name, retries(1000))
		r.waitTrigger(name)
	}
	to.send(t, numbered("old", 10)...)
	r.waitFailing("orders", "one", 10)

	r.deleteBroker("orders")
	before := len(sub.Requests())
	open()
	r.broker("orders")
	r.waitBroker("orders")
	r.waitTriggers(len(triggers))
	to.send(t, "new")
	for _, name := range triggers {
		sub.WaitFor(t, func(got []harness.Request) bool {
			return slices.ContainsFunc(got, func(q harness.Request) bool { return q.ID() == "new" && q.Target == "/"+name })
		})
	}
	for _, q := range sub.Requests()[before:] {
		if q.ID() != "new" {
			t.Errorf("event %s of the Broker that was deleted came to %s of the new one", q.ID(), q.Target)
		}
	}
}

// What belongs to another class of Broker is none of Leat's business.
func TestOtherClassesAreUntouched(t *testing.T) {
	r := calm(t).room(t)
	for name, annotations := range map[string]map[string]string{
		"stock": {class: "MTChannelBasedBroker"}, "none": nil, "case": {class: "leat"},
	} {
		r.broker(name, func(b *eventingv1.Broker) { b.Annotations = annotations })
		r.trigger(name, name, "http://example.com")
	}
	// What is done to ours has been done to those that were there before it.
	sub := harness.NewSubscriber(t, nil)
	r.broker("ours")
	r.trigger("ours", "ours", sub.URL)
	r.waitTrigger("ours")

	for _, name := range []string{"stock", "none", "case"} {
		b, err := r.brokers.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Finalizers) > 0 || b.Status.Conditions != nil || b.Status.Address != nil || b.Status.ObservedGeneration != 0 {
			t.Errorf("the Broker %s has the finalizers %v and the status %+v; want none", name, b.Finalizers, b.Status)
		}
		tr, err := r.triggers.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(tr.Finalizers) > 0 || tr.Status.Conditions != nil || tr.Status.ObservedGeneration != 0 {
			t.Errorf("the Trigger %s has the finalizers %v and the status %+v; want none", name, tr.Finalizers, tr.Status)
		}
	}
	if err := r.brokers.Delete(t.Context(), "stock", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.brokers.Get(t.Context(), "stock", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a Broker of another class could not be deleted: %v", err)
	}
}

// A mistake in spec.config is shown, and mending it is enough.
func TestBrokerConfig(t *testing.T) {
	r := calm(t).room(t)
	options, err := r.kube.CoreV1().ConfigMaps(r.name).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "options"}, Data: map[string]string{"retention": "soon"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	withConfig := func(name string) func(*eventingv1.Broker) {
		return func(b *eventingv1.Broker) {
			b.Spec.Config = &duckv1.KReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: r.name, Name: name}
		}
	}
	r.broker("wrong", withConfig("options"))
	r.broker("missing", withConfig("nowhere"))
	r.waitBrokerSays("wrong", "ConfigReady", "", "soon")
	r.waitBrokerSays("missing", "ConfigReady", "", "nowhere")

	options.Data["retention"] = "1h"
	if _, err := r.kube.CoreV1().ConfigMaps(r.name).Update(t.Context(), options, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.waitBroker("wrong")
	eventually(t, func() error {
		if s, ok := r.stream("wrong"); !ok || s.Retention != "1h0m0s" {
			return fmt.Errorf("the options say that events are kept for an hour, but the data plane has %+v", s)
		}
		return nil
	})
}

// A Trigger that does not say how it wants its dead letters gets its Broker's
// way.
func TestDeadLetterSinks(t *testing.T) {
	r := calm(t).room(t)
	brokers, own := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
	refusing := harness.NewSubscriber(t, harness.Always(http.StatusBadRequest))
	r.broker("orders", func(b *eventingv1.Broker) { b.Spec.Delivery = delivery(1, sink(brokers.URL)) })
	b := r.waitBroker("orders")
	if got := b.Status.DeadLetterSinkURI.String(); got != brokers.URL {
		t.Errorf("the Broker's deadLetterSinkUri is %s, want %s", got, brokers.URL)
	}
	r.trigger("brokers", "orders", refusing.URL)
	r.trigger("own", "orders", refusing.URL, func(tr *eventingv1.Trigger) { tr.Spec.Delivery = delivery(1, sink(own.URL)) })
	for name, want := range map[string]string{"brokers": brokers.URL, "own": own.URL} {
		if got := r.waitTrigger(name).Status.DeadLetterSinkURI.String(); got != want {
			t.Errorf("the deadLetterSinkUri of the Trigger %s is %s, want %s", name, got, want)
		}
	}
	r.target(t, b.Status.Address).send(t, "1")
	for _, s := range []*harness.Subscriber{brokers, own} {
		if got := s.WaitEvent(t, "1").Event.Extensions()["knativeerrordest"]; !strings.HasPrefix(fmt.Sprint(got), refusing.URL) {
			t.Errorf("a dead letter's knativeerrordest is %v, want %s", got, refusing.URL)
		}
	}
}
