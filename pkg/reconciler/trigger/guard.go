package trigger

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	eventingclient "knative.dev/eventing/pkg/client/clientset/versioned/typed/eventing/v1"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"

	"leat.dev/leat/pkg/routing/build"
)

// The reasons of BrokerReady where there is no Broker to get events from.
const (
	// reasonNoBroker and its message are those of Knative's own reconciler, as
	// both reconcile a Trigger without a Broker.
	reasonNoBroker       = "BrokerDoesNotExist"
	reasonBrokerDeleted  = "BrokerDeleted"
	reasonCrossNamespace = "CrossNamespaceEventLinksDisabled"
)

// link is what a Trigger has to do with us.
type link struct {
	// ours is false if the Trigger's Broker is of another class.
	ours bool
	// broker is the one that the Trigger gets events from.
	broker *eventingv1.Broker
	// missing is the reason why there is none, and why says it to a person.
	missing, why string
}

// linker finds the Brokers of Triggers.
type linker struct {
	brokers  eventinglisters.BrokerLister
	features *feature.Store
}

// link looks at a Trigger's Broker. Nobody else can know a Trigger whose Broker
// does not exist, so it counts as ours too.
func (l *linker) link(t *eventingv1.Trigger) link {
	name := build.BrokerOf(t)
	b, err := l.brokers.Brokers(name.Namespace).Get(name.Name)
	switch {
	case err == nil && b.Annotations[eventing.BrokerClassKey] != build.BrokerClass:
		return link{}
	case name.Namespace != t.Namespace && !l.features.IsEnabled(feature.CrossNamespaceEventLinks):
		return link{ours: true, missing: reasonCrossNamespace, why: fmt.Sprintf(
			"spec.brokerRef is a Broker of the namespace %q, but the feature %s is not enabled",
			name.Namespace, feature.CrossNamespaceEventLinks)}
	case err != nil:
		return link{ours: true, missing: reasonNoBroker, why: fmt.Sprintf("Broker %q does not exist", name.Name)}
	case !b.DeletionTimestamp.IsZero():
		return link{ours: true, missing: reasonBrokerDeleted, why: fmt.Sprintf("Broker %q is being deleted", name.Name)}
	}
	return link{ours: true, broker: b}
}

// ours is a filter of Triggers.
func (l *linker) ours(obj any) bool {
	t, ok := obj.(*eventingv1.Trigger)
	return ok && l.link(t).ours
}

// guard keeps the generated reconciler from Triggers of other classes' Brokers:
// it would write to the status of whatever it is given, and trackers give it
// what used to be ours.
type guard struct {
	controller.Reconciler
	reconciler.LeaderAware
	linker   *linker
	triggers eventinglisters.TriggerLister
	brokers  eventingclient.BrokersGetter
}

// newGuard wraps a generated reconciler.
func newGuard(r controller.Reconciler, l *linker, triggers eventinglisters.TriggerLister, brokers eventingclient.BrokersGetter) *guard {
	la, ok := r.(reconciler.LeaderAware)
	if !ok {
		panic("BUG: the generated reconciler is not leader aware")
	}
	return &guard{Reconciler: r, LeaderAware: la, linker: l, triggers: triggers, brokers: brokers}
}

// Reconcile implements controller.Reconciler.
func (g *guard) Reconcile(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return controller.NewPermanentError(err)
	}
	t, err := g.triggers.Triggers(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil // it has left nothing behind
	}
	if err != nil {
		return err
	}
	l := g.linker.link(t)
	if !l.ours {
		return nil
	}
	if l.missing == reasonNoBroker && !saysNoBroker(t) {
		if missing, err := g.missing(ctx, t); err != nil || !missing {
			return err
		}
	}
	return g.Reconciler.Reconcile(context.WithValue(ctx, linkKey{}, l), key)
}

// missing asks the API server whether a Trigger's Broker does not exist. The
// caches of Triggers and Brokers do not keep step: of a Trigger that was made
// right after its Broker nobody knows yet whose it is. It comes back with its
// Broker if that is ours.
func (g *guard) missing(ctx context.Context, t *eventingv1.Trigger) (bool, error) {
	name := build.BrokerOf(t)
	_, err := g.brokers.Brokers(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

func saysNoBroker(t *eventingv1.Trigger) bool {
	return t.Status.GetCondition(eventingv1.TriggerConditionBroker).GetReason() == reasonNoBroker
}

type linkKey struct{}

// linkFrom returns what the guard found, so that a Trigger's Broker is the same
// one through all of a reconciliation.
func linkFrom(ctx context.Context) link {
	l, ok := ctx.Value(linkKey{}).(link)
	if !ok {
		panic("BUG: a Trigger is reconciled past the guard")
	}
	return l
}

// brokerIndex finds the Triggers of a Broker by its namespace/name.
const brokerIndex = "leat.dev/broker"

func indexByBroker(obj any) ([]string, error) {
	t, ok := obj.(*eventingv1.Trigger)
	if !ok {
		return nil, fmt.Errorf("BUG: %T among the Triggers", obj)
	}
	name := build.BrokerOf(t)
	return []string{types.NamespacedName{Namespace: name.Namespace, Name: name.Name}.String()}, nil
}
