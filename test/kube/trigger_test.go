package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/test/harness"
)

// retries sets how often a Trigger's deliveries are tried again, 100 ms apart.
func retries(n int32) func(*eventingv1.Trigger) {
	return func(tr *eventingv1.Trigger) { tr.Spec.Delivery = delivery(n) }
}

// forType lets events of one type through.
func forType(value string) func(*eventingv1.Trigger) {
	return func(tr *eventingv1.Trigger) {
		tr.Spec.Filter = &eventingv1.TriggerFilter{Attributes: eventingv1.TriggerFilterAttributes{"type": value}}
	}
}

// makeTriggers makes many at once.
func (r *room) makeTriggers(all ...*eventingv1.Trigger) {
	r.t.Helper()
	var group errgroup.Group
	group.SetLimit(20)
	for _, tr := range all {
		group.Go(func() error {
			_, err := r.triggers.Create(r.t.Context(), tr, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		r.t.Fatal(err)
	}
}

func TestManyTriggersAtOnce(t *testing.T) {
	const n = 200
	r := calm(t).room(t)
	to := r.orders()
	sub := harness.NewSubscriber(t, nil)
	var all []*eventingv1.Trigger
	for i := range n {
		all = append(all, newTrigger(fmt.Sprintf("t%d", i), "orders", fmt.Sprintf("%s/t%d", sub.URL, i)))
	}
	from := time.Now()
	r.makeTriggers(all...)
	made := time.Now()
	r.waitTriggers(n)
	t.Logf("%d Triggers were made in %v, and all Ready %v later", n, made.Sub(from), time.Since(made))

	to.send(t, "1")
	sub.WaitFor(t, func(got []harness.Request) bool {
		came := map[string]bool{}
		for _, q := range got {
			came[q.Target] = true
		}
		return len(came) == n
	})
}

// Ready is a promise: it holds for an event that is sent the same moment.
func TestEventAtTheMomentOfReady(t *testing.T) {
	const n, atOnce = 200, 20
	r := calm(t).room(t)
	to := r.orders()
	sub := harness.NewSubscriber(t, nil)

	watch, err := r.triggers.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	var all []*eventingv1.Trigger
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		all = append(all, newTrigger(name, "orders", sub.URL+"/"+name, forType(name)))
	}
	r.makeTriggers(all[:atOnce]...)
	all = all[atOnce:]

	sent := map[string]bool{}
	deadline := time.After(patience)
	for len(sent) < n {
		select {
		case change := <-watch.ResultChan():
			tr, ok := change.Object.(*eventingv1.Trigger)
			if !ok {
				t.Fatalf("the watch ended: %+v", change)
			}
			if sent[tr.Name] || ready(tr) != nil {
				continue
			}
			to.sendTyped(t, tr.Name, tr.Name)
			sent[tr.Name] = true
			if len(all) > 0 {
				r.makeTriggers(all[0])
				all = all[1:]
			}
		case <-deadline:
			t.Fatalf("%d of %d Triggers are Ready after %v", len(sent), n, patience)
		}
	}
	r.waitSettled("orders")
	came := map[string]int{}
	for _, q := range sub.Requests() {
		came[q.Target]++
	}
	for name := range sent {
		if came["/"+name] != 1 {
			t.Errorf("the Trigger %s was Ready, and the event that was sent then came %d times", name, came["/"+name])
		}
	}
}

// Whoever moves a Trigger from one subscriber to another loses nothing, and
// Ready says when the old one is no longer needed.
func TestSubscriberChangedUnderLoad(t *testing.T) {
	r := calm(t).room(t)
	to := r.orders()
	subs := []*harness.Subscriber{harness.NewSubscriber(t, nil)}
	r.trigger("moving", "orders", subs[0].URL)
	r.waitTrigger("moving")
	l := startLoad(t, to)
	for range 5 {
		l.waitMore(50)
		next := harness.NewSubscriber(t, nil)
		subs = append(subs, next)
		r.changeTrigger("moving", func(tr *eventingv1.Trigger) { tr.Spec.Subscriber.URI = url(next.URL) })
		r.waitTrigger("moving")
		id := fmt.Sprintf("after-%d", len(subs))
		to.send(t, id)
		next.WaitEvent(t, id)
	}
	acked := l.end()
	waitDelivered(t, acked, subs...)
	for i, s := range subs[:len(subs)-1] {
		for _, id := range s.IDs() {
			if id == fmt.Sprintf("after-%d", i+2) {
				t.Errorf("event %s came to the old subscriber, though it was sent when the Trigger was Ready with the new one", id)
			}
		}
	}
	t.Logf("%d events were acknowledged and delivered", len(acked))
}

// Another filter, other retries, another subscriber: what waits for the Trigger
// goes on waiting for it.
func TestChangedTriggerKeepsItsPlace(t *testing.T) {
	r := calm(t).room(t)
	to := r.orders()
	r.trigger("changing", "orders", harness.ReservePort(t).URL, retries(100_000))
	r.waitTrigger("changing")
	ids := numbered("waiting", 20)
	to.send(t, ids...)
	r.waitFailing("orders", "changing", 20)

	r.changeTrigger("changing", retries(200_000))
	r.waitTrigger("changing")
	r.changeTrigger("changing", forType("test.happened"))
	r.waitTrigger("changing")
	r.changeTrigger("changing", func(tr *eventingv1.Trigger) { tr.Annotations = map[string]string{"leat.dev/max-in-flight": "3"} })
	r.waitTrigger("changing")
	r.waitFailing("orders", "changing", 20)

	sub := harness.NewSubscriber(t, nil)
	r.changeTrigger("changing", func(tr *eventingv1.Trigger) { tr.Spec.Subscriber.URI = url(sub.URL) })
	r.waitTrigger("changing")
	waitDelivered(t, ids, sub)
}

// What only waits for a Trigger goes with it.
func TestTriggerDeleted(t *testing.T) {
	r := calm(t).room(t)
	to := r.orders()
	sub, open := closedSubscriber(t)
	r.trigger("failing", "orders", sub.URL, retries(100_000))
	r.waitTrigger("failing")
	to.send(t, numbered("old", 10)...)
	r.waitFailing("orders", "failing", 10)

	if err := r.triggers.Delete(t.Context(), "failing", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if s, ok := r.stream("orders"); !ok || s.Records != 0 || s.Lag != 0 {
			return fmt.Errorf("the only Trigger is deleted, but its Broker's stream still has events: %+v", s)
		}
		return nil
	})
	before := len(sub.Requests())
	open()
	r.trigger("failing", "orders", sub.URL)
	r.waitTrigger("failing")
	to.send(t, "new")
	sub.WaitEvent(t, "new")
	if i := slices.IndexFunc(sub.Requests()[before:], func(q harness.Request) bool { return q.ID() != "new" }); i >= 0 {
		t.Errorf("event %s, which the deleted Trigger had not settled, came to the new one", sub.Requests()[before+i].ID())
	}
}

// A filter that cannot be compiled lets nothing through; the Trigger says so,
// and its neighbor does not notice.
func TestFilterMistakeIsShown(t *testing.T) {
	r := calm(t).room(t)
	to := r.orders()
	wrong, fine := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
	withSQL := func(text string) func(*eventingv1.Trigger) {
		return func(tr *eventingv1.Trigger) { tr.Spec.Filters = []eventingv1.SubscriptionsAPIFilter{{CESQL: text}} }
	}
	r.trigger("wrong", "orders", wrong.URL, withSQL("type = = 'x'"))
	r.trigger("fine", "orders", fine.URL, withSQL("type = 'test.happened'"))
	r.waitTrigger("fine")
	r.waitTriggerSays("wrong", "SubscriptionReady", "NotServed", "type = = 'x'")
	to.send(t, "1")
	fine.WaitEvent(t, "1")

	r.changeTrigger("wrong", withSQL("type LIKE 'test.%'"))
	r.waitTrigger("wrong")
	to.send(t, "2")
	wrong.WaitEvent(t, "2")
	if ids := wrong.IDs(); len(ids) != 1 {
		t.Errorf("a Trigger got %q, among them what was sent while its filter was wrong", ids)
	}
}

// A subscriber may be whatever has an address, and may come later.
func TestSubscriberByReference(t *testing.T) {
	r := calm(t).room(t)
	r.broker("first")
	to := r.target(t, r.waitBroker("first").Status.Address)
	byRef := func(version, kind, name, path string) func(*eventingv1.Trigger) {
		return func(tr *eventingv1.Trigger) {
			tr.Spec.Subscriber = duckv1.Destination{Ref: &duckv1.KReference{APIVersion: version, Kind: kind, Name: name}}
			if path != "" {
				tr.Spec.Subscriber.URI = url(path)
			}
		}
	}
	r.trigger("service", "first", "http://unused", byRef("v1", "Service", "billing", "/v2"))
	r.trigger("broker", "first", "http://unused", byRef("eventing.knative.dev/v1", "Broker", "second", ""))
	r.waitTriggerSays("service", "SubscriberResolved", "", "billing")
	r.waitTriggerSays("broker", "SubscriberResolved", "", "second")

	_, err := r.kube.CoreV1().Services(r.name).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "billing"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := "http://billing." + r.name + ".svc.cluster.local/v2"
	if got := r.waitTrigger("service").Status.SubscriberURI.String(); got != want {
		t.Errorf("the subscriberUri of a Service with a path is %s, want %s", got, want)
	}

	sub := harness.NewSubscriber(t, nil)
	r.broker("second")
	r.trigger("all", "second", sub.URL)
	r.waitTriggers(3)
	to.send(t, "1")
	sub.WaitEvent(t, "1")
}
