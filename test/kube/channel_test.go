package kube

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"

	messagingv1alpha1 "leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/test/harness"
)

// subscriber is what a Subscription writes into a channel's spec.
func subscriber(uid, address string) eventingduckv1.SubscriberSpec {
	name := uid
	return eventingduckv1.SubscriberSpec{Name: &name, UID: types.UID(uid), Generation: 1, SubscriberURI: url(address)}
}

// channel makes a LeatChannel with subscribers.
func (r *room) channel(name string, subscribers ...eventingduckv1.SubscriberSpec) *messagingv1alpha1.LeatChannel {
	r.t.Helper()
	c := &messagingv1alpha1.LeatChannel{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Spec.Subscribers = subscribers
	c, err := r.channels.Create(r.t.Context(), c, metav1.CreateOptions{})
	must(r.t, err)
	return c
}

// changeChannel updates one.
func (r *room) changeChannel(name string, change func(*messagingv1alpha1.LeatChannel)) {
	r.t.Helper()
	must(r.t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		c, err := r.channels.Get(r.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(c)
		_, err = r.channels.Update(r.t.Context(), c, metav1.UpdateOptions{})
		return err
	}))
}

// waitChannel waits until a channel and all its subscribers are Ready as its
// spec is now.
func (r *room) waitChannel(name string) *messagingv1alpha1.LeatChannel {
	r.t.Helper()
	var c *messagingv1alpha1.LeatChannel
	eventually(r.t, func() (err error) {
		if c, err = r.channels.Get(r.t.Context(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		if len(c.Status.Subscribers) != len(c.Spec.Subscribers) {
			return fmt.Errorf("the channel has %d subscribers, its status %+v", len(c.Spec.Subscribers), c.Status.Subscribers)
		}
		for _, want := range c.Spec.Subscribers {
			if !slices.ContainsFunc(c.Status.Subscribers, func(s eventingduckv1.SubscriberStatus) bool {
				return s.UID == want.UID && s.ObservedGeneration == want.Generation && s.Ready == corev1.ConditionTrue
			}) {
				return fmt.Errorf("the subscriber %s is not ready: %+v", want.UID, c.Status.Subscribers)
			}
		}
		return ready(c)
	})
	return c
}

func TestChannel(t *testing.T) {
	r := calm(t).room(t)
	r.channel("jobs")
	c := r.waitChannel("jobs")
	host := "jobs-kn-channel." + r.name + ".svc.cluster.local"
	if got := c.Status.Address.URL.String(); got != "http://"+host {
		t.Errorf("the channel's address is %s, want http://%s", got, host)
	}
	service, err := r.kube.CoreV1().Services(r.name).Get(t.Context(), "jobs-kn-channel", metav1.GetOptions{})
	must(t, err)
	if !metav1.IsControlledBy(service, c) {
		t.Errorf("the channel's Service is owned by %v; it must go when the channel goes", service.OwnerReferences)
	}
	if v := c.Annotations["messaging.knative.dev/subscribable"]; v != "v1" {
		t.Errorf("the channel's annotation messaging.knative.dev/subscribable is %q, want v1", v)
	}
	to := r.target(t, c.Status.Address)

	// Ready is a promise to the subscribers as well.
	var subs []*harness.Subscriber
	for i := range 10 {
		sub := harness.NewSubscriber(t, nil)
		subs = append(subs, sub)
		r.changeChannel("jobs", func(c *messagingv1alpha1.LeatChannel) {
			c.Spec.Subscribers = append(c.Spec.Subscribers, subscriber(fmt.Sprintf("s%d", i), sub.URL))
		})
		r.waitChannel("jobs")
		to.send(t, fmt.Sprintf("e%d", i))
	}
	for i, sub := range subs {
		want := len(subs) - i
		if got := sub.Wait(t, want); len(got) != want {
			t.Errorf("subscriber %d got %q, want the %d events since it was ready", i, sub.IDs(), want)
		}
	}

	r.changeChannel("jobs", func(c *messagingv1alpha1.LeatChannel) { c.Spec.Subscribers = c.Spec.Subscribers[:1] })
	r.waitChannel("jobs")
	to.send(t, "last")
	subs[0].WaitEvent(t, "last")
	r.waitSettled("jobs")
	if slices.Contains(subs[9].IDs(), "last") {
		t.Error("a subscriber that was taken out of the spec got an event")
	}
}

// A channel takes its Service, its address and what is stored with it.
func TestChannelDeleted(t *testing.T) {
	r := calm(t).room(t)
	sub := harness.ReservePort(t)
	worker := subscriber("worker", sub.URL)
	worker.Delivery = delivery(100_000)
	r.channel("jobs", worker)
	to := r.target(t, r.waitChannel("jobs").Status.Address)
	to.send(t, numbered("old", 5)...)
	must(t, r.channels.Delete(t.Context(), "jobs", metav1.DeleteOptions{}))
	eventually(t, func() error {
		c, err := r.channels.Get(t.Context(), "jobs", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the channel is still there (%v) with the finalizers %v", err, c.Finalizers)
	})
	if s, ok := r.stream("jobs"); ok {
		t.Errorf("the channel is gone, but of its stream there is still %+v", s)
	}
	if a, err := to.post(t.Context(), "late"); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("an event for a channel that is gone: %v, answered %d %s; want 404", err, a.Status, a.Body)
	}
}
