//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
)

// manyTriggers is how many Triggers TestManyTriggersOfOneBroker makes;
// LEAT_E2E_TRIGGERS names another number.
func manyTriggers(t *testing.T) int {
	text := os.Getenv("LEAT_E2E_TRIGGERS")
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("LEAT_E2E_TRIGGERS is %q, but must be a number", text)
	}
	return n
}

// Many Triggers are many objects, and no object holds them all: the API server
// refuses objects of about 1.5 MiB.
func TestManyTriggersOfOneBroker(t *testing.T) {
	w := newWorld(t)
	n := manyTriggers(t)
	url := w.broker("orders", "Leat")
	before := w.memory()
	triggers := cluster.eventing.EventingV1().Triggers(w.ns)
	began := time.Now()
	var creating errgroup.Group
	creating.SetLimit(16)
	for i := range n {
		creating.Go(func() error {
			_, err := triggers.Create(w.ctx, &eventingv1.Trigger{
				ObjectMeta: meta(fmt.Sprintf("t%04d", i)),
				Spec:       eventingv1.TriggerSpec{Broker: "orders", Subscriber: w.to("take", "many")},
			}, metav1.CreateOptions{})
			return err
		})
	}
	w.must(creating.Wait())
	created := time.Since(began)
	largest := 0
	w.eventually("all are ready", func() string {
		list, err := triggers.List(w.ctx, metav1.ListOptions{})
		w.must(err)
		waiting, example := 0, ""
		for i := range list.Items {
			if why := unready(&list.Items[i]); why != "" {
				waiting, example = waiting+1, why
			}
			largest = max(largest, size(t, &list.Items[i]))
		}
		if waiting == 0 {
			return ""
		}
		return fmt.Sprintf("%d of %d are not, such as %s", waiting, n, example)
	})
	ready := time.Since(began)
	w.sendOne("one", url, "any")
	w.eventually("the event came to all", func() string {
		if e := w.taken("many")["one-0"]; e.Times < n {
			return fmt.Sprintf("to %d of %d", e.Times, n)
		}
		return ""
	})
	broker, err := cluster.eventing.EventingV1().Brokers(w.ns).Get(w.ctx, "orders", metav1.GetOptions{})
	w.must(err)
	largest = max(largest, size(t, broker))
	if largest > 64<<10 {
		t.Errorf("the largest object has %d bytes", largest)
	}
	t.Logf("%d Triggers: created in %v, all ready after %v; the largest object has %d bytes; "+
		"the dispatcher's memory was %s and is %s, what is served is told in %d bytes",
		n, created.Round(time.Millisecond), ready.Round(time.Millisecond), largest, before, w.memory(), len(w.status("v1/served")))
}

func size(t *testing.T, o any) int {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

var resident = regexp.MustCompile(`(?m)^process_resident_memory_bytes(?:\{[^}]*\})? (\S+)$`)

// memory is what the dispatcher uses, in MiB.
func (w *world) memory() string {
	w.Helper()
	found := resident.FindStringSubmatch(w.status("metrics"))
	if found == nil {
		w.Fatal("the metrics do not tell the resident memory")
	}
	bytes, err := strconv.ParseFloat(found[1], 64)
	w.must(err)
	return fmt.Sprintf("%.0f MiB", bytes/(1<<20))
}
