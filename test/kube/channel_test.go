package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"

	messagingv1alpha1 "leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/test/harness"
)

// subscriber is what a Subscription writes into a channel's spec.
func subscriber(uid, address string) eventingduckv1.SubscriberSpec {
	name := uid
	return eventingduckv1.SubscriberSpec{Name: &name, UID: types.UID(uid), Generation: 1, SubscriberURI: url(address)}
}

// channel makes a LeatChannel.
func (r *room) channel(name string, change ...func(*messagingv1alpha1.LeatChannel)) {
	r.t.Helper()
	c := &messagingv1alpha1.LeatChannel{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, f := range change {
		f(c)
	}
	_, err := r.channels.Create(r.t.Context(), c, metav1.CreateOptions{})
	must(r.t, err)
}

// subscribe sets a channel's subscribers, as Knative's controller does.
func (r *room) subscribe(name string, subscribers ...eventingduckv1.SubscriberSpec) {
	r.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"subscribers": subscribers}})
	must(r.t, err)
	_, err = r.knative.MessagingV1alpha1().LeatChannels(r.name).Patch(r.t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	must(r.t, err)
}

// waitChannel waits until a channel and all its subscribers are Ready as its
// spec is now.
func (r *room) waitChannel(name string) *messagingv1alpha1.LeatChannel {
	r.t.Helper()
	get := func() (*messagingv1alpha1.LeatChannel, error) {
		return r.channels.Get(r.t.Context(), name, metav1.GetOptions{})
	}
	return awaited(r.t, get, func(c *messagingv1alpha1.LeatChannel) error {
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
	eventually(t, func() error {
		c, err := r.channels.Get(t.Context(), "jobs", metav1.GetOptions{})
		if err == nil && c.Annotations["messaging.knative.dev/subscribable"] != "v1" {
			err = fmt.Errorf("the channel's annotation messaging.knative.dev/subscribable is not v1: %v", c.Annotations)
		}
		return err
	})
	to := r.target(t, c.Status.Address)

	// Ready is a promise to the subscribers as well.
	var subs []*harness.Subscriber
	var spec []eventingduckv1.SubscriberSpec
	for i := range 10 {
		sub := harness.NewSubscriber(t, nil)
		subs, spec = append(subs, sub), append(spec, subscriber(fmt.Sprintf("s%d", i), sub.URL))
		r.subscribe("jobs", spec...)
		r.waitChannel("jobs")
		to.send(t, fmt.Sprintf("e%d", i))
	}
	for i, sub := range subs {
		want := len(subs) - i
		if got := sub.Wait(t, want); len(got) != want {
			t.Errorf("subscriber %d got %q, want the %d events since it was ready", i, sub.IDs(), want)
		}
	}

	r.subscribe("jobs", spec[0])
	r.waitChannel("jobs")
	eventually(t, func() error {
		if s, ok := r.stream("jobs"); !ok || s.RouteCount != 1 {
			return fmt.Errorf("all subscribers but one were taken out of the spec, but the data plane has %+v", s)
		}
		return nil
	})
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
	r.channel("jobs")
	r.subscribe("jobs", worker)
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

// The API server itself refuses what is wrong, and says what would be right.
func TestChannelMistakesAreRefused(t *testing.T) {
	r := calm(t).room(t)
	for name, c := range map[string]struct {
		object, want string
	}{
		"retries":  {`{spec: {delivery: {retry: -1}}}`, "greater than or equal to 0"},
		"policy":   {`{spec: {delivery: {backoffPolicy: quadratic}}}`, `"linear", "exponential"`},
		"delay":    {`{spec: {delivery: {backoffDelay: 2s}}}`, "must be an ISO-8601 duration"},
		"timeout":  {`{spec: {delivery: {timeout: PT0S}}}`, "must be an ISO-8601 duration of more than zero"},
		"format":   {`{spec: {delivery: {format: xml}}}`, `"binary", "json"`},
		"sink":     {`{spec: {delivery: {deadLetterSink: {}}}}`, "must have a ref, a uri, or both"},
		"relative": {`{spec: {delivery: {deadLetterSink: {uri: /path}}}}`, "uri must be absolute"},
		"unknown":  {`{spec: {delivry: {}}}`, `unknown field "spec.delivry"`},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := parseManifests([]byte(c.object))
			must(t, err)
			object := objects[0]
			object.SetAPIVersion("messaging.knative.dev/v1alpha1")
			object.SetKind("LeatChannel")
			object.SetNamespace(r.name)
			object.SetName("wrong")
			if err := r.create(t.Context(), object); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want a refusal with %q", c.object, err, c.want)
			}
		})
	}

	r.channel("jobs")
	c := r.waitChannel("jobs")
	c.Spec.Subscribers = []eventingduckv1.SubscriberSpec{subscriber("mine", "http://example.com")}
	_, err := r.channels.Update(t.Context(), c, metav1.UpdateOptions{})
	if want := "make a Subscription to this channel"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("spec.subscribers written by hand: %v, want a refusal with %q", err, want)
	}
}
