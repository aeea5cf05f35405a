// Package build makes streams and routes of Knative objects: Brokers, Triggers,
// channels and Subscriptions in, streams and problems out.
//
// It is pure. Where events go it reads from the objects' status, as the
// controllers leave it there and as the control-plane spec says; what the
// status does not tell is read from the spec.
package build

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing"
)

// BrokerClass is the class of the Brokers that are Leat's.
const BrokerClass = "Leat"

// DefaultClusterDomain is the domain of a cluster's services.
const DefaultClusterDomain = "cluster.local"

// Input is all objects that there are. They are not changed, but the streams
// share their maps: a caller does not change them afterwards.
type Input struct {
	// Brokers of any class; those of another are left out with their Triggers.
	Brokers  []*eventingv1.Broker
	Triggers []*eventingv1.Trigger
	// Channels name their subscribers in their spec, with resolved URIs.
	Channels []*v1alpha1.LeatChannel
	// Subscriptions tell the annotations and the delivery options of the
	// channels' subscribers. A subscriber without one gets the defaults.
	Subscriptions []*messagingv1.Subscription
}

// Options of Streams. The zero value is usable.
type Options struct {
	// ClusterDomain is that of the channels' host names, DefaultClusterDomain
	// if empty.
	ClusterDomain string
	// Addresses tells which stream a URL leads to, if any. Nil knows none.
	Addresses func(url string) (routing.StreamName, bool)
	// CrossNamespace lets Triggers read Brokers of another namespace
	// (spec.brokerRef.namespace; upstream's flag cross-namespace-event-links).
	CrossNamespace bool
}

// Streams builds all streams with their routes, and says what could not be
// taken as it is. Brokers, Triggers and channels that are being deleted are left
// out: see Removed. The same objects in any order give the same streams and
// problems, as long as no two of them are the same.
func Streams(in Input, opts Options) (map[routing.StreamName]*routing.Stream, []routing.Problem) {
	b := &builder{
		opts:    opts,
		parents: make(map[routing.StreamName]*parent),
		others:  make(map[routing.StreamName]bool),
		leaving: make(map[routing.StreamName]bool),
		byUID:   make(map[types.UID]*messagingv1.Subscription),
		byName:  make(map[types.NamespacedName]*messagingv1.Subscription),
	}
	if b.opts.ClusterDomain == "" {
		b.opts.ClusterDomain = DefaultClusterDomain
	}
	for _, broker := range in.Brokers {
		b.broker(broker)
	}
	for _, trigger := range in.Triggers {
		b.trigger(trigger)
	}
	for _, s := range in.Subscriptions {
		if s.UID != "" {
			b.byUID[s.UID] = s
		}
		b.byName[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}] = s
	}
	for _, channel := range in.Channels {
		b.channel(channel)
	}
	return b.finish()
}

type builder struct {
	opts    Options
	parents map[routing.StreamName]*parent
	// others are Brokers of another class: their Triggers are not ours to judge.
	others map[routing.StreamName]bool
	// leaving are Brokers that are being deleted.
	leaving  map[routing.StreamName]bool
	byUID    map[types.UID]*messagingv1.Subscription
	byName   map[types.NamespacedName]*messagingv1.Subscription
	problems []routing.Problem
}

// parent is a Broker or channel with what its routes inherit.
type parent struct {
	stream *routing.Stream
	// ids of the routes that stream has.
	ids map[string]bool
	// delivery has no dead letter sink: that is inherited on its own.
	delivery routing.Delivery
	sink     sink
	options  options
}

func (b *builder) problem(object, format string, args ...any) {
	b.problems = append(b.problems, routing.Problem{Object: object, Reason: fmt.Sprintf(format, args...)})
}

func (b *builder) broker(broker *eventingv1.Broker) {
	name := routing.StreamName{Kind: routing.Broker, Namespace: broker.Namespace, Name: broker.Name}
	switch {
	case broker.Annotations[eventing.BrokerClassKey] != BrokerClass:
		b.others[name] = true
		return
	case broker.DeletionTimestamp != nil:
		b.leaving[name] = true
		return
	}
	object := "Broker " + broker.Namespace + "/" + broker.Name
	p := b.parent(object, name, &broker.ObjectMeta, broker.Status.Annotations, broker.Spec.Delivery)
	p.delivery = b.defaulted(object, broker.Spec.Delivery, broker.Status.Annotations, p.delivery)
	p.sink = deadLetterSink(broker.Spec.Delivery, broker.Status.DeliveryStatus,
		message(&broker.Status, eventingv1.BrokerConditionDeadLetterSinkResolved))
}

// parent adds a stream without routes, and what its routes inherit but for the
// dead letter sink.
func (b *builder) parent(object string, name routing.StreamName, meta *metav1.ObjectMeta, status map[string]string,
	spec *eventingduckv1.DeliverySpec,
) *parent {
	p := &parent{
		stream: &routing.Stream{Name: name, UID: string(meta.UID)}, ids: make(map[string]bool), delivery: defaultDelivery(),
	}
	if !saysNothing(spec) {
		p.delivery = b.delivery(object, spec)
	}
	p.options = defaultOptions
	for _, annotations := range []map[string]string{status, meta.Annotations} {
		p.options = b.options(object, annotations, p.options)
		p.stream.Retention = b.retention(object, annotations, p.stream.Retention)
	}
	b.parents[name] = p
	return p
}

// finish puts everything in order and finds the destinations that lead back to
// a stream of the same table.
func (b *builder) finish() (map[routing.StreamName]*routing.Stream, []routing.Problem) {
	streams := make(map[routing.StreamName]*routing.Stream, len(b.parents))
	for name, p := range b.parents {
		slices.SortFunc(p.stream.Routes, func(x, y *routing.Route) int { return cmp.Compare(x.ID, y.ID) })
		for _, r := range p.stream.Routes {
			for _, dest := range []*routing.Destination{r.Subscriber, r.Reply, r.Delivery.DeadLetterSink} {
				b.findLocal(dest)
			}
		}
		streams[name] = p.stream
	}
	SortProblems(b.problems)
	return streams, b.problems
}

func (b *builder) findLocal(dest *routing.Destination) {
	if dest == nil || b.opts.Addresses == nil {
		return
	}
	if name, ok := b.opts.Addresses(dest.URL); ok && b.parents[name] != nil {
		dest.Local = &name
	}
}

// SortProblems sorts by file, object and reason.
func SortProblems(problems []routing.Problem) {
	slices.SortFunc(problems, func(x, y routing.Problem) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Object, y.Object), cmp.Compare(x.Reason, y.Reason))
	})
}
