package kubesource_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/kubesource"
)

var (
	orders = routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: "orders"}
	jobs   = routing.StreamName{Kind: routing.Channel, Namespace: "shop", Name: "jobs"}
)

func TestTable(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"), broker("others", "MTChannelBasedBroker"))
		w.triggers.Put(trigger("billing", "orders", "http://billing"), trigger("foreign", "others", "http://foreign"),
			trigger("lost", "nowhere", "http://lost"))
		w.channels.Put(channel("jobs", "worker"))
		s := subscription("worker", "Channel")
		s.Annotations["leat.dev/delivery-order"] = "ordered"
		w.subscriptions.Put(s, subscription("other", "InMemoryChannel"))
		w.run()
		table := w.table()
		want(t, table, "broker/shop/orders: Trigger/billing", "channel/shop/jobs: Subscription/worker")
		wantProblems(t, table, "Trigger shop/lost: Broker shop/nowhere does not exist")
		if r := table.Streams[jobs].Routes[0]; !r.Ordered {
			t.Error("the annotation of the Subscription is not on its route")
		}
		if r := table.Streams[orders].Routes[0]; r.ID != "trigger/shop/billing/uid-billing" || r.Subscriber.URL != "http://billing" {
			t.Errorf("the route is %+v", r)
		}
	})
}

// A table that lacks what merely was not read yet would remove it.
func TestNoTableBeforeAllIsRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		w.triggers.Put(trigger("billing", "orders", "http://billing"))
		away := errors.New("connection refused")
		w.brokers.Fail(away)
		w.triggers.Fail(away)
		w.channels.Fail(away)
		w.subscriptions.Fail(away)
		w.run()
		for _, shelf := range []interface{ Fail(error) }{w.triggers, w.subscriptions, w.brokers} {
			rest()
			w.wantTables(0)
			shelf.Fail(nil)
		}
		rest()
		w.wantTables(0)
		w.channels.Fail(nil)
		rest()
		want(t, w.table(), "broker/shop/orders: Trigger/billing")
	})
}

func TestRunEndsBeforeAllIsRead(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.triggers.Fail(errors.New("connection refused"))
		w.run()
		w.stop()
		w.wantTables(0)
	})
}

func TestChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		want(t, w.table())
		rest()
		w.brokers.Put(broker("orders", "Leat"))
		want(t, w.table(), "broker/shop/orders")
		rest()
		w.triggers.Put(trigger("billing", "orders", "http://billing"))
		first := w.table()
		want(t, first, "broker/shop/orders: Trigger/billing")
		rest()
		w.triggers.Put(trigger("audit", "orders", "http://audit"))
		second := w.table()
		want(t, second, "broker/shop/orders: Trigger/audit Trigger/billing")
		if first.Streams[orders].Routes[0] != second.Streams[orders].Routes[1] {
			t.Error("a route that has not changed is another one")
		}
		rest()
		w.triggers.Put(trigger("billing", "orders", "http://elsewhere"))
		if url := w.table().Streams[orders].Routes[1].Subscriber.URL; url != "http://elsewhere" {
			t.Errorf("the subscriber is %s", url)
		}
		if url := second.Streams[orders].Routes[1].Subscriber.URL; url != "http://billing" {
			t.Errorf("a table was changed after it was published: the subscriber is %s", url)
		}
		rest()
		w.triggers.Delete("shop", "billing")
		want(t, w.table(), "broker/shop/orders: Trigger/audit")
		rest()
		w.channels.Put(channel("jobs"))
		want(t, w.table(), "broker/shop/orders: Trigger/audit", "channel/shop/jobs")
		rest()
		w.channels.Delete("shop", "jobs")
		want(t, w.table(), "broker/shop/orders: Trigger/audit")
	})
}

// What changes nothing makes no table: conditions that come true, objects of
// other classes and kinds, the same object again.
func TestNoise(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"), broker("others", "MTChannelBasedBroker"))
		w.triggers.Put(trigger("billing", "orders", "http://billing"), trigger("foreign", "others", "http://foreign"))
		w.subscriptions.Put(subscription("other", "InMemoryChannel"))
		w.run()
		w.table()
		for _, change := range []func(){
			func() {
				ready := trigger("billing", "orders", "http://billing")
				ready.Status.InitializeConditions()
				ready.Status.MarkSubscriberResolvedSucceeded()
				ready.Status.ObservedGeneration = 7
				w.triggers.Put(ready)
			},
			func() { w.triggers.Put(trigger("foreign", "others", "http://elsewhere")) },
			func() {
				b := broker("others", "MTChannelBasedBroker")
				b.Status.MarkIngressFailed("a", "b")
				w.brokers.Put(b)
			},
			func() { w.brokers.Put(broker("orders", "Leat")) },
			func() { w.subscriptions.Put(subscription("third", "InMemoryChannel")) },
			func() { w.triggers.Delete("shop", "foreign") },
			func() { w.brokers.Delete("shop", "others") },
		} {
			rest()
			change()
			rest()
			w.wantTables(0)
		}
	})
}

// A Broker that is made again with Leat's class gets the Triggers that were
// left out while it had another.
func TestBrokerOfAnotherClassComesBackAsOurs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "MTChannelBasedBroker"))
		w.run()
		w.table()
		rest()
		w.triggers.Put(trigger("billing", "orders", "http://billing"))
		rest()
		w.brokers.Delete("shop", "orders")
		rest()
		w.skipTables()
		w.brokers.Put(broker("orders", "Leat"))
		want(t, w.table(), "broker/shop/orders: Trigger/billing")
	})
}

func TestCrossNamespace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		far := trigger("far", "", "http://far")
		far.Namespace = "abroad"
		far.Spec.BrokerRef = &duckv1.KReference{APIVersion: "eventing.knative.dev/v1", Kind: "Broker", Namespace: "shop", Name: "orders"}
		w.triggers.Put(far)
		w.source.Set(kubesource.Live{CrossNamespace: true})
		w.run()
		want(t, w.table(), "broker/shop/orders: Trigger/far")
		rest()
		w.source.Set(kubesource.Live{Problems: []routing.Problem{{File: "config-leat", Object: "max-disk", Reason: "it is odd"}}})
		table := w.table()
		if len(table.Problems) != 2 || !strings.HasPrefix(table.Problems[0].String(), "Trigger abroad/far: ") ||
			table.Problems[1].String() != "config-leat: max-disk: it is odd" {
			t.Errorf("the problems are %v", table.Problems)
		}
		rest()
		w.source.Set(kubesource.Live{CrossNamespace: true})
		table = w.table()
		want(t, table, "broker/shop/orders: Trigger/far")
		wantProblems(t, table)
	})
}

// The first change is published at once. What comes while a table is made, and
// for a moment after that, is in the next one, all together.
func TestBurst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		w.run()
		w.table()
		rest()
		began := time.Now()
		for _, tr := range triggers(200, "t", "orders") {
			w.triggers.Put(tr)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if n := len(w.tables) - w.seen; n < 3 || n > 6 {
			t.Errorf("200 Triggers in 200 ms made %d tables", n)
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if n := len(w.tables[len(w.tables)-1].Streams[orders].Routes); n != 200 {
			t.Errorf("%v after the first of 200 Triggers the table has %d routes", time.Since(began), n)
		}
		if n := len(w.tables[w.seen].Streams[orders].Routes); n != 1 {
			t.Errorf("the first table after a quiet time has %d routes", n)
		}
	})
}

func TestSlowPublishing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		w.slow = 2 * time.Second
		w.run()
		time.Sleep(10 * time.Second)
		w.table()
		rest()
		for _, tr := range triggers(100, "t", "orders") {
			w.triggers.Put(tr)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		// Ten seconds, of which each table takes two, and as much time for
		// everything else.
		if n := len(w.tables) - w.seen; n < 3 || n > 5 {
			t.Errorf("%d tables", n)
		}
		if n := len(w.tables[len(w.tables)-1].Streams[orders].Routes); n != 100 {
			t.Errorf("the last table has %d routes", n)
		}
	})
}

// With the API server away the last table stays, and says that it is old.
func TestAPIServerAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		w.triggers.Put(trigger("billing", "orders", "http://billing"), trigger("audit", "orders", "http://audit"))
		w.run()
		w.table()
		rest()
		w.triggers.Fail(errors.New("connection refused"))
		w.triggers.Delete("shop", "audit")
		w.triggers.Forget()
		rest()
		table := w.table()
		want(t, table, "broker/shop/orders: Trigger/audit Trigger/billing")
		if len(table.Problems) != 1 || !strings.Contains(table.Problems[0].String(), "Trigger: it cannot be read from the API server since") {
			t.Errorf("the problems are %v", table.Problems)
		}
		time.Sleep(time.Hour)
		w.wantTables(0)
		w.triggers.Fail(nil)
		time.Sleep(10 * time.Second)
		w.skipTables()
		table = w.tables[len(w.tables)-1]
		want(t, table, "broker/shop/orders: Trigger/billing")
		wantProblems(t, table)
	})
}

// A problem is logged once, and only if it lasts: each new Trigger has one
// until its subscriber is resolved.
func TestProblemsInTheLog(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		w.triggers.Put(trigger("lost", "nowhere", "http://lost"))
		w.run()
		rest()
		unresolved := trigger("billing", "orders", "http://billing")
		unresolved.Status.SubscriberURI = nil
		w.triggers.Put(unresolved)
		time.Sleep(time.Second)
		w.triggers.Put(trigger("billing", "orders", "http://billing"))
		rest()
		w.triggers.Put(trigger("other", "orders", "http://other"))
		rest()
		text := w.logged()
		if n := strings.Count(text, "does not exist"); n != 1 {
			t.Errorf("the problem is %d times in the log:\n%s", n, text)
		}
		if strings.Contains(text, "billing") {
			t.Errorf("what passed at once is in the log:\n%s", text)
		}
		for _, tr := range triggers(500, "t", "nowhere") {
			w.triggers.Put(tr)
		}
		rest()
		text = w.logged()
		if n := strings.Count(text, "\n"); n > 300 || !strings.Contains(text, "more=") {
			t.Errorf("500 problems made %d lines", n)
		}
	})
}

func TestNewRefusesABaseURL(t *testing.T) {
	for _, url := range []string{"", "leat-ingress", "ftp://leat", "http://leat/path", "http://[::1"} {
		if _, err := kubesource.New(kubesource.Options{BaseURL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}
