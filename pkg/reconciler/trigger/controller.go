package trigger

import (
	"context"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/eventing/pkg/client/injection/client"
	brokerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker"
	triggerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/trigger"
	triggerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/trigger"
	"knative.dev/eventing/pkg/duck"
	"knative.dev/pkg/client/injection/ducks/duck/v1/source"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/kmeta"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

// agent is the component that Kubernetes events are from.
const agent = "leat-trigger-controller"

// NewController makes the controller of Triggers.
func NewController(link dataplane.Link) injection.ControllerConstructor {
	return func(ctx context.Context, cmw configmap.Watcher) *controller.Impl {
		logger := logging.FromContext(ctx)
		triggers, brokers := triggerinformer.Get(ctx), brokerinformer.Get(ctx)
		if err := triggers.Informer().AddIndexers(cache.Indexers{brokerIndex: indexByBroker}); err != nil {
			logger.Fatalw("Triggers cannot be found by their Broker", zap.Error(err))
		}

		var q *queue
		features := feature.NewStore(logger.Named("features"), func(string, any) {
			if q != nil {
				q.impl.FilteredGlobalResync(q.linker.ours, triggers.Informer())
			}
		})
		features.WatchConfigs(cmw)
		l := &linker{brokers: brokers.Lister(), features: features}
		r := &Reconciler{}
		impl := triggerreconciler.NewImpl(ctx, r, func(*controller.Impl) controller.Options {
			return controller.Options{ConfigStore: features, AgentName: agent, PromoteFilterFunc: l.ours}
		})
		impl.Reconciler = newGuard(impl.Reconciler, l, triggers.Lister(), client.Get(ctx).EventingV1())
		q = &queue{impl: impl, linker: l, triggers: triggers.Informer().GetIndexer()}
		r.resolver = resolver.NewURIResolverFromTracker(ctx, impl.Tracker)
		r.sources = duck.NewListableTrackerFromTracker(ctx, source.Get, impl.Tracker)
		r.plane = link.Join(ctx, q.changed)

		dataplane.Handle(triggers.Informer(), cache.FilteringResourceEventHandler{
			FilterFunc: l.ours, Handler: controller.HandleAll(impl.Enqueue),
		})
		dataplane.Handle(triggers.Informer(), cache.ResourceEventHandlerFuncs{DeleteFunc: impl.Tracker.OnDeletedObserver})
		dataplane.Handle(brokers.Informer(), controller.HandleAll(q.broker))
		return impl
	}
}

// queue knows which Triggers a change is about.
type queue struct {
	impl     *controller.Impl
	linker   *linker
	triggers cache.Indexer
}

// broker enqueues the Triggers of a Broker of ours.
func (q *queue) broker(obj any) {
	b, err := kmeta.DeletionHandlingAccessor(obj)
	if err != nil || b.GetAnnotations()[eventing.BrokerClassKey] != build.BrokerClass {
		return
	}
	q.of(types.NamespacedName{Namespace: b.GetNamespace(), Name: b.GetName()})
}

func (q *queue) of(broker types.NamespacedName) {
	keys, err := q.triggers.IndexKeys(brokerIndex, broker.String())
	if err != nil {
		panic("BUG: the index is there: " + err.Error())
	}
	for _, key := range keys {
		if namespace, name, err := cache.SplitMetaNamespaceKey(key); err == nil {
			q.impl.EnqueueKey(types.NamespacedName{Namespace: namespace, Name: name})
		}
	}
}

// changed takes up what the data plane has to say about Triggers.
func (q *queue) changed(c served.Change) {
	if c.All {
		for _, obj := range q.triggers.List() {
			if t, ok := obj.(*eventingv1.Trigger); ok && q.linker.ours(t) {
				q.impl.Enqueue(t)
			}
		}
		return
	}
	for _, name := range c.Streams {
		if name.Kind == routing.Broker {
			q.of(types.NamespacedName{Namespace: name.Namespace, Name: name.Name})
		}
	}
	for _, route := range c.Routes {
		if _, key, ok := dataplane.RouteObject(route.ID); ok && route.Stream.Kind == routing.Broker {
			q.impl.EnqueueKey(key)
		}
	}
}
