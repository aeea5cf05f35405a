//go:build e2e

package e2e

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	flowsv1 "knative.dev/eventing/pkg/apis/flows/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"

	"leat.dev/leat/test/e2e/account"
)

func TestLeatChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.leatChannel("orders")
	if want := "orders-kn-channel." + w.ns + ".svc."; len(url.Host) < len(want) || url.Host[:len(want)] != want {
		t.Errorf("the address is %s", url)
	}
	w.subscribe("first", leatChannelKind, "orders", w.to("take", "first"))
	w.subscribe("second", leatChannelKind, "orders", w.to("reply", "second"), func(s *messagingv1.Subscription) {
		to := w.to("take", "replies")
		s.Spec.Reply = &to
	})
	w.subscribe("refused", leatChannelKind, "orders", w.to("refuse", "refused"), func(s *messagingv1.Subscription) {
		s.Spec.Delivery = deadLettersTo(w.to("take", "dead"))
	})
	w.send("orders", account.Send{URL: url.String(), Type: "paid", Count: 100, PerSecond: 100})
	w.arrived(w.finish("orders").Acknowledged, "first", "second", "replies", "dead")
	if e := w.event("replies", "orders-0"); e.Type != "paid.second" {
		t.Errorf("the reply is %+v", e)
	}
}

func TestChannelOverLeatChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := cluster.eventing.MessagingV1().Channels(w.ns).Create(w.ctx,
		&messagingv1.Channel{ObjectMeta: meta("orders"), Spec: messagingv1.ChannelSpec{ChannelTemplate: &leatTemplate}}, metav1.CreateOptions{})
	w.must(err)
	url := ready(w, func() (*messagingv1.Channel, error) {
		return cluster.eventing.MessagingV1().Channels(w.ns).Get(w.ctx, "orders", metav1.GetOptions{})
	}).Status.Address.URL
	w.subscribe("all", metav1.TypeMeta{APIVersion: "messaging.knative.dev/v1", Kind: "Channel"}, "orders", w.to("take", "all"))
	w.send("orders", account.Send{URL: url.String(), Type: "paid", Count: 50, PerSecond: 100})
	w.arrived(w.finish("orders").Acknowledged, "all")
}

func TestSequenceOverLeatChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	end := w.to("take", "end")
	_, err := cluster.eventing.FlowsV1().Sequences(w.ns).Create(w.ctx, &flowsv1.Sequence{ObjectMeta: meta("steps"), Spec: flowsv1.SequenceSpec{
		ChannelTemplate: &leatTemplate, Reply: &end,
		Steps: []flowsv1.SequenceStep{{Destination: w.to("reply", "one")}, {Destination: w.to("reply", "two")}},
	}}, metav1.CreateOptions{})
	w.must(err)
	url := ready(w, func() (*flowsv1.Sequence, error) {
		return cluster.eventing.FlowsV1().Sequences(w.ns).Get(w.ctx, "steps", metav1.GetOptions{})
	}).Status.Address.URL
	w.send("orders", account.Send{URL: url.String(), Type: "paid", Count: 50, PerSecond: 100})
	w.arrived(w.finish("orders").Acknowledged, "one", "two", "end")
	if e := w.event("end", "orders-0"); e.Type != "paid.one.two" {
		t.Errorf("at the end came %+v", e)
	}
}

func TestParallelOverLeatChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	filter, end := w.to("reply", "filter"), w.to("take", "end")
	_, err := cluster.eventing.FlowsV1().Parallels(w.ns).Create(w.ctx, &flowsv1.Parallel{ObjectMeta: meta("branches"), Spec: flowsv1.ParallelSpec{
		ChannelTemplate: &leatTemplate, Reply: &end,
		Branches: []flowsv1.ParallelBranch{
			{Subscriber: w.to("reply", "plain")},
			{Filter: &filter, Subscriber: w.to("take", "filtered")},
		},
	}}, metav1.CreateOptions{})
	w.must(err)
	url := ready(w, func() (*flowsv1.Parallel, error) {
		return cluster.eventing.FlowsV1().Parallels(w.ns).Get(w.ctx, "branches", metav1.GetOptions{})
	}).Status.Address.URL
	w.send("orders", account.Send{URL: url.String(), Type: "paid", Count: 50, PerSecond: 100})
	w.arrived(w.finish("orders").Acknowledged, "plain", "filter", "filtered", "end")
	if e := w.event("filtered", "orders-0"); e.Type != "paid.filter" {
		t.Errorf("behind the filter came %+v", e)
	}
}
