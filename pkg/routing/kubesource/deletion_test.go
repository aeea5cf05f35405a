package kubesource_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDeletion(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		w.triggers.Put(trigger("billing", "orders", "http://billing"))
		w.channels.Put(channel("jobs"))
		w.run()
		w.table()
		rest()
		leaving := broker("orders", "Leat")
		leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		leaving.Finalizers = []string{"leat.brokers.eventing.knative.dev"}
		w.brokers.Put(leaving)
		table := w.table()
		want(t, table, "channel/shop/jobs")
		if len(table.Removed) != 1 || table.Removed[orders] != "uid-orders" {
			t.Errorf("removed are %v", table.Removed)
		}
		wantProblems(t, table, "Trigger shop/billing: Broker shop/orders is being deleted")
		rest()
		w.brokers.Delete("shop", "orders")
		if table := w.table(); len(table.Removed) != 0 {
			t.Errorf("removed are %v", table.Removed)
		}
		rest()
		again := broker("orders", "Leat")
		again.UID = "uid-2"
		w.brokers.Put(again)
		if uid := w.table().Streams[orders].UID; uid != "uid-2" {
			t.Errorf("the UID is %s", uid)
		}
	})
}

func TestChannelAndTriggerDeletion(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.brokers.Put(broker("orders", "Leat"))
		leaving := trigger("billing", "orders", "http://billing")
		w.triggers.Put(leaving, trigger("audit", "orders", "http://audit"))
		c := channel("jobs", "worker")
		w.channels.Put(c)
		w.run()
		w.table()
		rest()
		leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		leaving.Finalizers = []string{"somebody.example/else"}
		w.triggers.Put(leaving)
		table := w.table()
		want(t, table, "broker/shop/orders: Trigger/audit", "channel/shop/jobs: Subscription/worker")
		if len(table.Removed) != 0 {
			t.Errorf("removed are %v", table.Removed)
		}
		rest()
		c.DeletionTimestamp = leaving.DeletionTimestamp
		c.Finalizers = []string{"leatchannels.messaging.knative.dev"}
		w.channels.Put(c)
		table = w.table()
		want(t, table, "broker/shop/orders: Trigger/audit")
		if len(table.Removed) != 1 || table.Removed[jobs] != "uid-jobs" {
			t.Errorf("removed are %v", table.Removed)
		}
		rest()
		w.channels.Delete("shop", "jobs")
		if table := w.table(); len(table.Removed) != 0 {
			t.Errorf("removed are %v", table.Removed)
		}
	})
}
