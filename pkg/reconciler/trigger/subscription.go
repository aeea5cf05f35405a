package trigger

import (
	"context"
	"strings"
	"time"

	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

// subscription asks whether the data plane delivers exactly as the Trigger and
// its status say.
func (r *Reconciler) subscription(ctx context.Context, s *subject) time.Duration {
	const t = eventingv1.TriggerConditionSubscribed
	route, mistakes := wanted(ctx, s.broker, s.Trigger)
	if route == nil {
		s.manage().MarkUnknown(t, dataplane.ReasonNotServedYet, "%s", mistakes)
		return 0
	}
	if route.Unresolved != "" {
		s.manage().MarkUnknown(t, dataplane.ReasonUnresolved, "Nothing is delivered: %s", route.Unresolved)
		return 0
	}
	verdict := r.plane.Route(string(s.broker.UID), route)
	stale := verdict.State == served.Unknown && s.stale(ctx, route)
	dataplane.MarkServed(s.manage(), t, verdict, stale)
	if verdict.State == served.Serving && mistakes != "" {
		s.manage().MarkTrueWithReason(t, dataplane.ReasonIgnored, "%s", mistakes)
	}
	return 0
}

// stale is whether the status that the Trigger came with may be about another
// route.
func (s *subject) stale(ctx context.Context, route *routing.Route) bool {
	if s.before.Status.ObservedGeneration != s.Generation {
		return true
	}
	old, _ := wanted(ctx, s.broker, s.before)
	return old == nil || old.Fingerprint() != route.Fingerprint()
}

// wanted is the route that the data plane makes of a Trigger, and what is not
// taken as it says.
func wanted(ctx context.Context, b *eventingv1.Broker, t *eventingv1.Trigger) (_ *routing.Route, mistakes string) {
	streams, problems := build.Streams(
		build.Input{Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{t}}, dataplane.BuildOptions(ctx))
	object := "Trigger " + t.Namespace + "/" + t.Name
	var reasons []string
	for _, p := range problems {
		if p.Object == object {
			reasons = append(reasons, p.Reason)
		}
	}
	mistakes = dataplane.Clip(strings.Join(reasons, "; "))
	for _, stream := range streams {
		for _, route := range stream.Routes {
			return route, mistakes
		}
	}
	return nil, mistakes
}
