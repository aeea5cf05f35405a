//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/admin"
	"leat.dev/leat/test/e2e/account"
)

func TestBrokerDeliversToTriggers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.broker("orders", "Leat")
	if want := "http://leat-ingress." + system + ".svc."; !strings.HasPrefix(url.String(), want) || url.Path != "/"+w.ns+"/orders" {
		t.Errorf("the address is %s", url)
	}
	w.trigger("all", "orders", w.to("take", "all"))
	w.trigger("paid", "orders", w.to("take", "paid"), ofType("paid"))
	w.trigger("answer", "orders", w.to("reply", "answered"), ofType("asked"))

	w.send("orders", account.Send{URL: url.String(), Type: "paid", Count: 200, PerSecond: 200})
	sent := w.finish("orders")
	w.arrived(sent.Acknowledged, "all", "paid")
	w.sendOne("asked", url, "asked")
	if e := w.event("answered", "asked-0"); e.Type != "asked" {
		t.Errorf("the subscriber that answers got %+v", e)
	}
	// The answer has the question's ID and goes to whoever wants all.
	w.eventually("the answer came back through the Broker", func() string {
		if e := w.taken("all")["asked-0"]; e.Times < 2 {
			return fmt.Sprintf("%+v", e)
		}
		return ""
	})
	if paid := w.taken("paid"); len(paid) != 200 {
		t.Errorf("%d events came through the filter; 200 match", len(paid))
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.broker("orders", "Leat")
	w.trigger("refused", "orders", w.to("refuse", "refused"), func(t *eventingv1.Trigger) {
		t.Spec.Delivery = deadLettersTo(w.to("take", "dead"))
	})
	w.trigger("kept", "orders", w.to("refuse", "kept"))
	w.sendOne("bad", url, "bad")

	e := w.event("dead", "bad-0")
	if e.Extensions["knativeerrorcode"] != "400" || !strings.Contains(e.Extensions["knativeerrordest"], "/refuse/refused") {
		t.Errorf("the dead letter says: %+v", e)
	}
	operator := w.operator()
	w.eventually("the dead letter without a sink is kept", func() string {
		kept, err := operator.DeadLetters(w.ctx, admin.StreamRef{Kind: "broker", Namespace: w.ns, Name: "orders"}, "kept", admin.PageOptions{})
		if err != nil {
			return err.Error()
		}
		if len(kept.DeadLetters) == 1 {
			return ""
		}
		return show(kept)
	})
}

func TestDeletedBrokerLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	brokers := cluster.eventing.EventingV1().Brokers(w.ns)
	url := w.broker("orders", "Leat")
	w.trigger("all", "orders", w.to("take", "all"))
	w.sendOne("before", url, "any")
	w.event("all", "before-0")

	w.must(brokers.Delete(w.ctx, "orders", metav1.DeleteOptions{}))
	w.eventually("the Broker is gone", func() string {
		if _, err := brokers.Get(w.ctx, "orders", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
	if served := w.status("v1/served"); strings.Contains(served, w.ns+"/orders") {
		t.Errorf("it is still served: %s", served)
	}
	streams, err := w.operator().Streams(w.ctx)
	w.must(err)
	if strings.Contains(show(streams), w.ns) {
		t.Errorf("it is still stored: %s", show(streams))
	}
	w.eventually("the Trigger tells", func() string {
		trigger, err := w.getTrigger("all")
		w.must(err)
		if unready(trigger) == "" {
			return "it is ready without a Broker"
		}
		return ""
	})

	// Its successor begins with nothing, and the Trigger takes it up.
	url = w.broker("orders", "Leat")
	ready(w, func() (*eventingv1.Trigger, error) { return w.getTrigger("all") })
	w.trigger("earliest", "orders", w.to("take", "earliest"), func(t *eventingv1.Trigger) {
		t.Annotations = map[string]string{"leat.dev/start": "earliest"}
	})
	w.sendOne("after", url, "any")
	w.event("all", "after-0")
	w.event("earliest", "after-0")
	if got := w.taken("earliest"); len(got) != 1 {
		t.Errorf("events of the Broker before came as well: %v", got)
	}
}

// Knative's webhook asks whether the controller may subscribe in the Broker's
// namespace, whenever it writes the Trigger's status.
func TestTriggerOfABrokerInAnotherNamespace(t *testing.T) {
	t.Parallel()
	features, err := cluster.kube.CoreV1().ConfigMaps(system).Get(t.Context(), "config-features", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, there := newWorld(t), newWorld(t)
	url := there.broker("orders", "Leat")
	trigger := &eventingv1.Trigger{ObjectMeta: meta("all"), Spec: eventingv1.TriggerSpec{
		BrokerRef:  &duckv1.KReference{APIVersion: "eventing.knative.dev/v1", Kind: "Broker", Namespace: there.ns, Name: "orders"},
		Subscriber: w.to("take", "all"),
	}}
	_, err = cluster.eventing.EventingV1().Triggers(w.ns).Create(w.ctx, trigger, metav1.CreateOptions{})
	if !strings.EqualFold(features.Data["cross-namespace-event-links"], "enabled") {
		if err == nil {
			t.Error("Knative takes a Trigger that its features do not allow")
		}
		return
	}
	w.must(err)
	ready(w, func() (*eventingv1.Trigger, error) { return w.getTrigger("all") })
	w.sendOne("one", url, "any")
	w.event("all", "one-0")
}

// Knative's own broker takes its channels from a template.
func TestStockBrokerOverLeatChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := cluster.kube.CoreV1().ConfigMaps(w.ns).Create(w.ctx, &corev1.ConfigMap{
		ObjectMeta: meta("over-leat"),
		Data:       map[string]string{"channel-template-spec": "apiVersion: messaging.knative.dev/v1alpha1\nkind: LeatChannel\n"},
	}, metav1.CreateOptions{})
	w.must(err)
	url := w.broker("stock", "MTChannelBasedBroker", func(b *eventingv1.Broker) {
		b.Spec.Config = &duckv1.KReference{APIVersion: "v1", Kind: "ConfigMap", Name: "over-leat", Namespace: w.ns}
	})
	channels, err := cluster.leat.MessagingV1alpha1().LeatChannels(w.ns).List(w.ctx, metav1.ListOptions{})
	w.must(err)
	if len(channels.Items) != 1 {
		t.Fatalf("the broker has %d LeatChannels", len(channels.Items))
	}
	w.trigger("paid", "stock", w.to("take", "paid"), ofType("paid"))
	w.send("orders", account.Send{URL: url.String(), Type: "paid", Count: 50, PerSecond: 100})
	w.arrived(w.finish("orders").Acknowledged, "paid")
}
