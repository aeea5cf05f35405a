package channel

import (
	"context"
	"maps"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"knative.dev/eventing/pkg/apis/feature"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	subscriptioninformer "knative.dev/eventing/pkg/client/injection/informers/messaging/v1/subscription"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	serviceinformer "knative.dev/pkg/client/injection/kube/informers/core/v1/service"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/kmeta"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/resolver"

	"leat.dev/leat/pkg/client/injection/client"
	channelinformer "leat.dev/leat/pkg/client/injection/informers/messaging/v1alpha1/leatchannel"
	channelreconciler "leat.dev/leat/pkg/client/injection/reconciler/messaging/v1alpha1/leatchannel"
	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

// agent is the component that Kubernetes events are from.
const agent = "leat-channel-controller"

// NewController makes the controller of LeatChannels.
func NewController(link dataplane.Link) injection.ControllerConstructor {
	return func(ctx context.Context, cmw configmap.Watcher) *controller.Impl {
		logger := logging.FromContext(ctx)
		channels, subscriptions, services := channelinformer.Get(ctx), subscriptioninformer.Get(ctx), serviceinformer.Get(ctx)
		for informer, indexers := range map[cache.SharedIndexInformer]cache.Indexers{
			channels.Informer():      {bySubscriber: indexChannelBySubscriber, byService: indexByService},
			subscriptions.Informer(): {bySubscriber: indexSubscription},
		} {
			if err := informer.AddIndexers(indexers); err != nil {
				logger.Fatalw("Channels cannot be found by their Subscriptions", zap.Error(err))
			}
		}

		var impl *controller.Impl
		features := feature.NewStore(logger.Named("features"), func(string, any) {
			if impl != nil {
				impl.GlobalResync(channels.Informer())
			}
		})
		features.WatchConfigs(cmw)
		r := &Reconciler{
			channels: client.Get(ctx), kube: kubeclient.Get(ctx), services: services.Lister(),
			subscriptions: subscriptions.Informer().GetIndexer(),
		}
		impl = channelreconciler.NewImpl(ctx, r, func(*controller.Impl) controller.Options {
			return controller.Options{ConfigStore: features, AgentName: agent}
		})
		q := &queue{impl: impl, channels: channels.Informer().GetIndexer()}
		r.resolver = resolver.NewURIResolverFromTracker(ctx, impl.Tracker)
		r.plane = link.Join(ctx, q.changed)

		dataplane.Handle(channels.Informer(), controller.HandleAll(impl.Enqueue))
		dataplane.Handle(channels.Informer(), cache.ResourceEventHandlerFuncs{DeleteFunc: impl.Tracker.OnDeletedObserver})
		dataplane.Handle(services.Informer(), controller.HandleAll(q.service))
		dataplane.Handle(subscriptions.Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc: q.subscription, DeleteFunc: q.subscription,
			UpdateFunc: func(old, now any) {
				if subscriptionMatters(old, now) {
					q.subscription(now)
				}
			},
		})
		return impl
	}
}

// queue knows which channels a change is about.
type queue struct {
	impl     *controller.Impl
	channels cache.Indexer
}

func (q *queue) by(index, value string) {
	keys, err := q.channels.IndexKeys(index, value)
	if err != nil {
		panic("BUG: the index is there: " + err.Error())
	}
	for _, key := range keys {
		if namespace, name, err := cache.SplitMetaNamespaceKey(key); err == nil {
			q.impl.EnqueueKey(types.NamespacedName{Namespace: namespace, Name: name})
		}
	}
}

// service enqueues the channel whose Service has that name, be it its own or
// not.
func (q *queue) service(obj any) {
	if o, err := kmeta.DeletionHandlingAccessor(obj); err == nil {
		q.by(byService, types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}.String())
	}
}

// subscription enqueues the channels that have the Subscription as a subscriber,
// whichever way it names its channel.
func (q *queue) subscription(obj any) {
	if o, err := kmeta.DeletionHandlingAccessor(obj); err == nil {
		for _, key := range subscriptionKeys(o) {
			q.by(bySubscriber, key)
		}
	}
}

// changed takes up what the data plane has to say about channels.
func (q *queue) changed(c served.Change) {
	if c.All {
		for _, obj := range q.channels.List() {
			q.impl.Enqueue(obj)
		}
		return
	}
	for _, names := range [][]routing.StreamName{c.Streams, c.Removed} {
		for _, name := range names {
			q.stream(name)
		}
	}
	for _, route := range c.Routes {
		q.stream(route.Stream)
	}
}

func (q *queue) stream(name routing.StreamName) {
	if name.Kind == routing.Channel {
		q.impl.EnqueueKey(types.NamespacedName{Namespace: name.Namespace, Name: name.Name})
	}
}

// subscriptionMatters is whether a channel's routes could be others after an
// update of a Subscription: most updates are of its status.
func subscriptionMatters(old, now any) bool {
	was, ok := old.(*messagingv1.Subscription)
	is, ok2 := now.(*messagingv1.Subscription)
	if !ok || !ok2 {
		return true
	}
	message := func(s *messagingv1.Subscription) string {
		c := s.Status.GetCondition(messagingv1.SubscriptionConditionReferencesResolved)
		if c == nil || c.Status == corev1.ConditionTrue {
			return ""
		}
		return c.Message
	}
	return was.UID != is.UID || was.Generation != is.Generation || message(was) != message(is) || !maps.Equal(was.Annotations, is.Annotations)
}
