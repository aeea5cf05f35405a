package kube

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"leat.dev/leat/test/harness"
)

// A readyWatch looks at Triggers all the time.
type readyWatch struct {
	stop context.CancelFunc
	done sync.WaitGroup
	// outages are what Triggers said that were not Ready.
	outages []error
}

// watchTriggers looks until the watch is ended.
func (r *room) watchTriggers() *readyWatch {
	ctx, stop := context.WithCancel(context.Background())
	a := &readyWatch{stop: stop}
	a.done.Go(func() {
		for ctx.Err() == nil {
			list, err := r.triggers.List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				continue
			}
			for i := range list.Items {
				if err := ready(&list.Items[i]); err != nil {
					a.outages = append(a.outages, err)
				}
			}
			pause(ctx, 10*time.Millisecond)
		}
	})
	r.t.Cleanup(func() { a.end() })
	return a
}

// end returns what was not Ready so far.
func (a *readyWatch) end() []error {
	a.stop()
	a.done.Wait()
	return a.outages
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// mustServe makes a Trigger of the Broker orders for events of a type of its
// own, sends one when it is Ready, and waits for it. It returns how long Ready
// took.
func (r *room) mustServe(name string, to target, sub *harness.Subscriber) time.Duration {
	r.t.Helper()
	from := time.Now()
	r.trigger(name, "orders", sub.URL, forType(name))
	r.waitTrigger(name)
	took := time.Since(from)
	to.sendTyped(r.t, name, name)
	sub.WaitEvent(r.t, name)
	return took
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A dispatcher that is killed or stopped again and again loses nothing that it
// has acknowledged, and no Trigger turns NotReady: the controller leaves a
// dispatcher 15 seconds to come back, and it needs less than one.
func TestDispatcherRestartedUnderLoad(t *testing.T) {
	w := rough(t)
	r := w.room(t)
	var targets []target
	var subs []*harness.Subscriber
	for _, name := range []string{"orders", "returns"} {
		r.broker(name)
		targets = append(targets, r.target(t, r.waitBroker(name).Status.Address))
		sub := harness.NewSubscriber(t, nil)
		subs = append(subs, sub)
		r.trigger(name, name, sub.URL)
	}
	r.waitTriggers(2)
	watch := r.watchTriggers()
	loads := []*load{startLoad(t, targets[0]), startLoad(t, targets[1])}
	for _, end := range []func() error{w.dispatcher.kill, w.dispatcher.stop, w.dispatcher.kill, w.dispatcher.stop} {
		loads[0].waitMore(100)
		must(t, end())
		must(t, w.dispatcher.start())
		must(t, w.waitDispatcher(t.Context()))
	}
	loads[0].waitMore(100)
	for i, l := range loads {
		acked := l.end()
		waitDelivered(t, acked, subs[i])
		t.Logf("%d events were acknowledged and delivered; the longest pause was %v", len(acked), l.pause())
	}
	r.waitTriggers(2)
	if outages := watch.end(); len(outages) > 0 {
		t.Errorf("%d times a Trigger was seen that was not Ready, the first time %v", len(outages), outages[0])
	}
}

// A dispatcher that stays away is told of, and its return as well.
func TestDispatcherAway(t *testing.T) {
	w := rough(t)
	r := w.room(t)
	sub := harness.NewSubscriber(t, nil)
	to := r.orders()
	r.trigger("all", "orders", sub.URL)
	r.waitTrigger("all")
	must(t, w.dispatcher.stop())
	r.waitTriggerSays("all", "SubscriptionReady", "DataPlaneUnavailable", "")
	r.waitBrokerSays("orders", "IngressReady", "DataPlaneUnavailable", "")
	must(t, w.dispatcher.start())
	r.waitBroker("orders")
	r.waitTrigger("all")
	to.send(t, "1")
	sub.WaitEvent(t, "1")
}

// Without a controller events flow, and what has changed meanwhile is done when
// it is back. It writes nothing where nothing has changed.
func TestControllerKilled(t *testing.T) {
	w := rough(t)
	r := w.room(t)
	sub := harness.NewSubscriber(t, nil)
	r.everything(sub)
	to := r.target(t, r.waitBroker("orders").Status.Address)
	l := startLoad(t, to)
	l.waitMore(20)

	must(t, w.controller.kill())
	before := r.versions()
	r.trigger("meanwhile", "orders", sub.URL)
	l.waitMore(100)
	must(t, w.controller.start())
	r.waitTrigger("meanwhile")
	r.mustServe("late", to, sub)
	waitDelivered(t, l.end(), sub)

	r.mustNotChange(before)
}

// The second controller takes over when the first is gone.
func TestLeaderElection(t *testing.T) {
	w := rough(t)
	r := w.room(t)
	sub := harness.NewSubscriber(t, nil)
	to := r.orders()
	// The first one has done that, so it leads.
	second, err := w.newController(t.Context(), "leat-controller-1")
	must(t, err)
	w.others = append(w.others, second)
	must(t, second.start())
	second.waitLog(t, "Attempting to acquire leader lease")

	first := w.controller
	for i, leader := range []*program{first, second} {
		must(t, leader.kill())
		t.Logf("%v after a leader was killed, the next one had a Trigger Ready", r.mustServe(fmt.Sprintf("t%d", i), to, sub))
		if leader == first {
			must(t, first.start())
		}
	}
}

// While the API server hangs or is gone, events flow, and what is Ready stays
// Ready. Afterwards all goes on.
func TestAPIServerAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(t *testing.T, w *world, meanwhile func()){
		"hanging": func(t *testing.T, w *world, meanwhile func()) {
			must(t, w.apiserver.signal(syscall.SIGSTOP))
			meanwhile()
			must(t, w.apiserver.signal(syscall.SIGCONT))
		},
		"gone": func(t *testing.T, w *world, meanwhile func()) {
			must(t, w.apiserver.kill())
			meanwhile()
			must(t, w.restartAPIServer())
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := rough(t)
			r := w.room(t)
			sub := harness.NewSubscriber(t, nil)
			to := r.orders()
			r.trigger("all", "orders", sub.URL)
			r.waitTrigger("all")
			l := startLoad(t, to)
			l.waitMore(50)
			before := r.versions()

			away(t, w, func() {
				pause(t.Context(), 10*time.Second)
				acked := l.acknowledged()
				waitDelivered(t, acked, sub)
			})
			must(t, w.waitReady(t.Context()))
			t.Logf("a new Trigger was Ready %v after the API server was back", r.mustServe("late", to, sub))
			waitDelivered(t, l.end(), sub)
			if p := l.pause(); p > 5*time.Second {
				t.Errorf("no event was acknowledged for %v", p)
			}
			r.mustNotChange(before)
		})
	}
}

// A dispatcher that starts while the API server is away does not know what to
// serve. It says so, refuses nothing that it will have to take, and serves all
// when it knows.
func TestDispatcherStartsWithoutAPIServer(t *testing.T) {
	w := rough(t)
	r := w.room(t)
	sub := harness.NewSubscriber(t, nil)
	to := r.orders()
	r.trigger("all", "orders", sub.URL)
	r.waitTrigger("all")
	l := startLoad(t, to)
	l.waitMore(50)

	must(t, w.apiserver.kill())
	must(t, w.dispatcher.kill())
	must(t, w.dispatcher.start())
	if err := poll(t.Context(), 3*time.Second, w.dispatcherReady); err == nil {
		t.Error("the dispatcher is ready, but it cannot know what it has to serve")
	}
	must(t, w.restartAPIServer())
	must(t, w.waitReady(t.Context()))
	must(t, w.waitDispatcher(t.Context()))
	l.waitMore(50)
	waitDelivered(t, l.end(), sub)
	r.waitTrigger("all")
}
