package broker

import (
	"context"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"knative.dev/eventing/pkg/apis/config"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	brokerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker"
	brokerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/broker"
	"knative.dev/pkg/apis"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

// agent is the component that Kubernetes events are from.
const agent = "leat-broker-controller"

// ours is whether an object is a Broker of class Leat.
var ours = reconciler.AnnotationFilterFunc(eventing.BrokerClassKey, build.BrokerClass, false)

// NewController makes the controller of Brokers.
func NewController(link dataplane.Link) injection.ControllerConstructor {
	return func(ctx context.Context, cmw configmap.Watcher) *controller.Impl {
		logger := logging.FromContext(ctx)
		informer := brokerinformer.Get(ctx).Informer()
		registerConditions()

		var impl *controller.Impl
		resync := func() {
			if impl != nil {
				impl.FilteredGlobalResync(ours, informer)
			}
		}
		features := feature.NewStore(logger.Named("features"), func(string, any) { resync() })
		features.WatchConfigs(cmw)
		r := &Reconciler{kube: kubeclient.Get(ctx)}
		watchDefaults(cmw, func(cm *corev1.ConfigMap) {
			if err := r.defaults.set(cm); err != nil {
				logger.Errorw("The ConfigMap "+config.DefaultsConfigName+" is not taken; the last good one holds", zap.Error(err))
				return
			}
			resync()
		})
		impl = brokerreconciler.NewImpl(ctx, r, build.BrokerClass, func(*controller.Impl) controller.Options {
			return controller.Options{
				ConfigStore: features, FinalizerName: FinalizerName, AgentName: agent, PromoteFilterFunc: ours,
			}
		})
		r.resolver = resolver.NewURIResolverFromTracker(ctx, impl.Tracker)
		r.plane = link.Join(ctx, func(c served.Change) { enqueue(impl, informer.GetStore(), c) })
		handle(informer, impl)
		return impl
	}
}

// registerConditions makes every Broker of this process one with our
// conditions; those of other classes are not reconciled here.
func registerConditions() {
	eventingv1.RegisterAlternateBrokerConditionSet(apis.NewLivingConditionSet(conditions...))
}

// watchDefaults does without config-br-defaults where the watcher allows it:
// core may not have one.
func watchDefaults(cmw configmap.Watcher, observer configmap.Observer) {
	if w, ok := cmw.(configmap.DefaultingWatcher); ok {
		empty := corev1.ConfigMap{}
		empty.Name = config.DefaultsConfigName
		empty.Data = map[string]string{config.BrokerDefaultsKey: "{}"}
		w.WatchWithDefault(empty, observer)
		return
	}
	cmw.Watch(config.DefaultsConfigName, observer)
}

func handle(informer cache.SharedIndexInformer, impl *controller.Impl) {
	dataplane.Handle(informer, cache.FilteringResourceEventHandler{FilterFunc: ours, Handler: controller.HandleAll(impl.Enqueue)})
	dataplane.Handle(informer, cache.ResourceEventHandlerFuncs{DeleteFunc: impl.Tracker.OnDeletedObserver})
}

// enqueue takes up what the data plane has to say about Brokers.
func enqueue(impl *controller.Impl, store cache.Store, c served.Change) {
	if c.All {
		for _, b := range store.List() {
			if ours(b) {
				impl.Enqueue(b)
			}
		}
		return
	}
	for _, names := range [][]routing.StreamName{c.Streams, c.Removed} {
		for _, name := range names {
			if name.Kind == routing.Broker {
				impl.EnqueueKey(types.NamespacedName{Namespace: name.Namespace, Name: name.Name})
			}
		}
	}
}
