package kube

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	eventingclient "knative.dev/eventing/pkg/client/clientset/versioned/typed/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	messagingclient "leat.dev/leat/pkg/client/clientset/versioned/typed/messaging/v1alpha1"
)

// A room is a namespace of one test, with clients for it.
type room struct {
	*world
	t        *testing.T
	name     string
	brokers  eventingclient.BrokerInterface
	triggers eventingclient.TriggerInterface
	channels messagingclient.LeatChannelInterface
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// room makes a namespace.
func (w *world) room(t *testing.T) *room {
	t.Helper()
	ns, err := w.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: strings.Trim(notInNames.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-") + "-",
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &room{
		world: w, t: t, name: ns.Name,
		brokers:  w.eventing.EventingV1().Brokers(ns.Name),
		triggers: w.eventing.EventingV1().Triggers(ns.Name),
		channels: w.leat.MessagingV1alpha1().LeatChannels(ns.Name),
	}
}

const class = "eventing.knative.dev/broker.class"

// broker makes a Broker of class Leat.
func (r *room) broker(name string, change ...func(*eventingv1.Broker)) *eventingv1.Broker {
	r.t.Helper()
	b := &eventingv1.Broker{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{class: "Leat"}}}
	for _, c := range change {
		c(b)
	}
	b, err := r.brokers.Create(r.t.Context(), b, metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// newTrigger is a Trigger for a subscriber's URL that is nowhere yet.
func newTrigger(name, broker, subscriber string, change ...func(*eventingv1.Trigger)) *eventingv1.Trigger {
	tr := &eventingv1.Trigger{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       eventingv1.TriggerSpec{Broker: broker, Subscriber: duckv1.Destination{URI: url(subscriber)}},
	}
	for _, c := range change {
		c(tr)
	}
	return tr
}

// trigger makes one.
func (r *room) trigger(name, broker, subscriber string, change ...func(*eventingv1.Trigger)) *eventingv1.Trigger {
	r.t.Helper()
	tr, err := r.triggers.Create(r.t.Context(), newTrigger(name, broker, subscriber, change...), metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return tr
}

// changeTrigger updates one as kubectl edit would.
func (r *room) changeTrigger(name string, change func(*eventingv1.Trigger)) {
	r.t.Helper()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		tr, err := r.triggers.Get(r.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(tr)
		_, err = r.triggers.Update(r.t.Context(), tr, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// awaited gets an object until check has nothing to say about it.
func awaited[T any](t testing.TB, get func() (T, error), check func(T) error) T {
	t.Helper()
	var object T
	eventually(t, func() (err error) {
		if object, err = get(); err != nil {
			return err
		}
		return check(object)
	})
	return object
}

func (r *room) getBroker(name string) func() (*eventingv1.Broker, error) {
	return func() (*eventingv1.Broker, error) { return r.brokers.Get(r.t.Context(), name, metav1.GetOptions{}) }
}

func (r *room) getTrigger(name string) func() (*eventingv1.Trigger, error) {
	return func() (*eventingv1.Trigger, error) { return r.triggers.Get(r.t.Context(), name, metav1.GetOptions{}) }
}

// waitBroker waits until it is Ready as its spec is now.
func (r *room) waitBroker(name string) *eventingv1.Broker {
	r.t.Helper()
	return awaited(r.t, r.getBroker(name), func(b *eventingv1.Broker) error { return ready(b) })
}

// waitTrigger waits until it is Ready as its spec is now.
func (r *room) waitTrigger(name string) *eventingv1.Trigger {
	r.t.Helper()
	return awaited(r.t, r.getTrigger(name), func(tr *eventingv1.Trigger) error { return ready(tr) })
}

// orders makes a Broker of that name, and returns where it takes events once it
// is Ready.
func (r *room) orders() target {
	r.t.Helper()
	r.broker("orders")
	return r.target(r.t, r.waitBroker("orders").Status.Address)
}

// waitTriggers waits until so many are there and all are Ready.
func (r *room) waitTriggers(n int) {
	r.t.Helper()
	eventually(r.t, func() error {
		list, err := r.triggers.List(r.t.Context(), metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		if len(list.Items) != n {
			return fmt.Errorf("there are %d Triggers, not %d", len(list.Items), n)
		}
		for i := range list.Items {
			if err := ready(&list.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// waitTriggerSays waits until a condition of a Trigger is not true, for a
// reason and a message that contain these texts.
func (r *room) waitTriggerSays(name, condition, reason, message string) {
	r.t.Helper()
	awaited(r.t, r.getTrigger(name), func(tr *eventingv1.Trigger) error { return says(tr, condition, reason, message) })
}

// waitBrokerSays is the same for a Broker.
func (r *room) waitBrokerSays(name, condition, reason, message string) {
	r.t.Helper()
	awaited(r.t, r.getBroker(name), func(b *eventingv1.Broker) error { return says(b, condition, reason, message) })
}

// deleteBroker deletes it and waits until it is gone.
func (r *room) deleteBroker(name string) {
	r.t.Helper()
	if err := r.brokers.Delete(r.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, func() error {
		b, err := r.brokers.Get(r.t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the Broker is still there (%v) with the finalizers %v", err, b.Finalizers)
	})
}

// ready returns nil if the object is Ready as its spec is now.
func ready(object duckv1.KRShaped) error {
	status := object.GetStatus()
	if generation := object.GetGeneration(); status.ObservedGeneration != generation {
		return fmt.Errorf("%s is at generation %d, its status at %d: %v", object.GetName(), generation, status.ObservedGeneration, status.Conditions)
	}
	if !status.GetCondition(apis.ConditionReady).IsTrue() {
		return fmt.Errorf("%s is not Ready: %v", object.GetName(), status.Conditions)
	}
	return nil
}

// says returns nil if a condition and Ready are not true for such a reason.
func says(object duckv1.KRShaped, condition, reason, message string) error {
	for _, name := range []apis.ConditionType{apis.ConditionType(condition), apis.ConditionReady} {
		c := object.GetStatus().GetCondition(name)
		if c == nil || c.IsTrue() || !strings.Contains(c.Reason, reason) || !strings.Contains(c.Message, message) {
			return fmt.Errorf("the condition %s of %s is %+v; it must not be true because of %q %q",
				name, object.GetName(), c, reason, message)
		}
	}
	return nil
}

func url(text string) *apis.URL {
	u, err := apis.ParseURL(text)
	if err != nil {
		panic("BUG: a test has a URL that is none: " + err.Error())
	}
	return u
}

// delivery is a DeliverySpec that retries so often, 100 ms apart.
func delivery(retries int32, change ...func(*eventingduckv1.DeliverySpec)) *eventingduckv1.DeliverySpec {
	policy, delay := eventingduckv1.BackoffPolicyLinear, "PT0.1S"
	d := &eventingduckv1.DeliverySpec{Retry: &retries, BackoffPolicy: &policy, BackoffDelay: &delay}
	for _, c := range change {
		c(d)
	}
	return d
}

// sink sets where dead letters go.
func sink(address string) func(*eventingduckv1.DeliverySpec) {
	return func(d *eventingduckv1.DeliverySpec) { d.DeadLetterSink = &duckv1.Destination{URI: url(address)} }
}
