package channel

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/controller"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

// plan is what the data plane makes of a channel.
type plan struct {
	// routes by the key of their subscriber.
	routes map[string]*routing.Route
	// problems of routes by routing.Route.String.
	problems map[string]string
	// mistakes are the channel's own.
	mistakes string
}

// subscriberKey tells the subscribers of a channel apart, as build does: by the
// UID of the Subscription or, without one, by its name.
func subscriberKey(s *eventingduckv1.SubscriberSpec) string {
	if s.UID != "" {
		return string(s.UID)
	}
	return "/" + ptr.Deref(s.Name, "")
}

// routeKey is subscriberKey of the subscriber that a route was made of.
func routeKey(r *routing.Route) string {
	if parts := strings.SplitN(r.ID, "/", 4); len(parts) == 4 {
		return parts[3]
	}
	return "/" + r.Name
}

// plan builds the routes of a channel as the data plane does, of the channel
// and the Subscriptions that its subscribers come from.
func (r *Reconciler) plan(ctx context.Context, c *v1alpha1.LeatChannel) plan {
	in := build.Input{Channels: []*v1alpha1.LeatChannel{c}}
	for i := range c.Spec.Subscribers {
		objects, err := r.subscriptions.ByIndex(bySubscriber, indexKey(c.Namespace, &c.Spec.Subscribers[i]))
		if err != nil {
			panic("BUG: the index is there: " + err.Error())
		}
		for _, o := range objects {
			in.Subscriptions = append(in.Subscriptions, o.(*messagingv1.Subscription))
		}
	}
	streams, problems := build.Streams(in, dataplane.BuildOptions(ctx))
	p := plan{routes: make(map[string]*routing.Route), problems: make(map[string]string)}
	for _, stream := range streams {
		for _, route := range stream.Routes {
			p.routes[routeKey(route)] = route
		}
	}
	for _, problem := range problems {
		p.problems[problem.Object] = join(p.problems[problem.Object], problem.Reason)
	}
	p.mistakes = dataplane.Clip(p.problems["LeatChannel "+c.Namespace+"/"+c.Name])
	return p
}

func join(reasons, more string) string {
	if reasons == "" {
		return more
	}
	return reasons + "; " + more
}

// subscribers tells of each subscriber in the spec, in that order, whether the
// data plane delivers exactly as it and the channel's status say.
func (r *Reconciler) subscribers(ctx context.Context, s *subject) time.Duration {
	old := sync.OnceValue(func() plan {
		if s.before.Status.ObservedGeneration != s.Generation {
			return plan{}
		}
		return r.plan(ctx, s.before)
	})
	before := make(map[string]eventingduckv1.SubscriberStatus, len(s.before.Status.Subscribers))
	for _, status := range s.before.Status.Subscribers {
		before[string(status.UID)] = status
	}
	var list []eventingduckv1.SubscriberStatus
	seen := make(map[string]bool, len(s.Spec.Subscribers))
	for i := range s.Spec.Subscribers {
		spec := &s.Spec.Subscribers[i]
		key := subscriberKey(spec)
		status := eventingduckv1.SubscriberStatus{UID: spec.UID, ObservedGeneration: spec.Generation}
		if seen[key] {
			status.Ready, status.Message = corev1.ConditionFalse, "It is in spec.subscribers twice; the first one is used."
		} else {
			status.Ready, status.Message = r.subscriber(s, spec, old, before[string(spec.UID)])
		}
		seen[key] = true
		list = append(list, status)
	}
	s.Status.Subscribers = list
	return 0
}

// subscriber is the verdict on one. old is the plan of the status that the
// channel came with, and before what that said.
func (r *Reconciler) subscriber(
	s *subject, spec *eventingduckv1.SubscriberSpec, old func() plan, before eventingduckv1.SubscriberStatus,
) (corev1.ConditionStatus, string) {
	route := s.wanted.routes[subscriberKey(spec)]
	if route == nil {
		return corev1.ConditionFalse, "It has neither a uid nor a name, so its place in the channel could not be kept."
	}
	if route.Unresolved != "" {
		return corev1.ConditionFalse, dataplane.Clip("Nothing is delivered: " + route.Unresolved)
	}
	verdict := r.plane.Route(string(s.UID), route)
	switch verdict.State {
	case served.Serving:
		// An option that is not used as it is written does not stop events.
		return corev1.ConditionTrue, dataplane.Clip(s.wanted.problems[route.String()])
	case served.Failed:
		return corev1.ConditionFalse, cmp.Or(verdict.Reason, "The data plane cannot serve it as it is.")
	case served.Unknown:
		// Nobody knows better than the status, if it is about the same route.
		was := old().routes[subscriberKey(spec)]
		if was != nil && before.Ready != "" && before.ObservedGeneration == spec.Generation && was.Fingerprint() == route.Fingerprint() {
			return before.Ready, before.Message
		}
		return corev1.ConditionUnknown, "The data plane has not been asked yet."
	default:
		return corev1.ConditionUnknown, cmp.Or(verdict.Reason, "The data plane has not taken it up yet.")
	}
}

// The reasons of events about subscribers.
const (
	reasonSubscriberNotServed = "SubscriberNotServed"
	reasonSubscriberOption    = dataplane.ReasonIgnored
)

// announceSubscribers records a Warning for each subscriber that has a mistake
// now and had not, or had another one: their Subscriptions do not show why.
func announceSubscribers(ctx context.Context, s *subject) {
	recorder := controller.GetEventRecorder(ctx)
	if recorder == nil {
		return
	}
	before := make(map[eventingduckv1.SubscriberStatus]bool, len(s.before.Status.Subscribers))
	for _, status := range s.before.Status.Subscribers {
		before[told(status)] = true
	}
	for i, status := range s.Status.Subscribers {
		name := cmp.Or(ptr.Deref(s.Spec.Subscribers[i].Name, ""), string(status.UID))
		switch {
		case before[told(status)] || status.Message == "":
		case status.Ready == corev1.ConditionFalse:
			recorder.Eventf(s.LeatChannel, corev1.EventTypeWarning, reasonSubscriberNotServed, "Subscriber %s: %s", name, status.Message)
		case status.Ready == corev1.ConditionTrue:
			recorder.Eventf(s.LeatChannel, corev1.EventTypeWarning, reasonSubscriberOption, "Subscriber %s: %s", name, status.Message)
		}
	}
}

// told is what makes an event about a subscriber another one.
func told(s eventingduckv1.SubscriberStatus) eventingduckv1.SubscriberStatus {
	return eventingduckv1.SubscriberStatus{UID: s.UID, Ready: s.Ready, Message: s.Message}
}
