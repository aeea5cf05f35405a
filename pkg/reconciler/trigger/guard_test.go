package trigger

import (
	"context"
	"testing"

	"k8s.io/client-go/tools/cache"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	eventingfake "knative.dev/eventing/pkg/client/clientset/versioned/fake"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"

	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
)

// counting counts the reconciliations that a guard lets through.
type counting struct {
	reconciler.LeaderAwareFuncs
	n int
}

func (c *counting) Reconcile(context.Context, string) error {
	c.n++
	return nil
}

// The cache of Brokers may know less than the cache of Triggers.
func TestTriggerIsSeenBeforeItsBroker(t *testing.T) {
	for name, c := range map[string]struct {
		broker *eventingv1.Broker
		want   int
	}{
		"of ours":             {broker(), 0},
		"of another class":    {broker(theirs), 0},
		"that does not exist": {rt.Broker(ns, "another", ""), 1},
	} {
		t.Run(name, func(t *testing.T) {
			triggers := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
			if err := triggers.Add(trigger()); err != nil {
				t.Fatal(err)
			}
			l := &linker{
				brokers:  eventinglisters.NewBrokerLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})),
				features: feature.NewStore(logging.FromContext(t.Context())),
			}
			through := &counting{}
			g := newGuard(through, l, eventinglisters.NewTriggerLister(triggers), eventingfake.NewSimpleClientset(c.broker).EventingV1())
			if err := g.Reconcile(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if through.n != c.want {
				t.Errorf("the Trigger was reconciled %d times, want %d", through.n, c.want)
			}
		})
	}
}
