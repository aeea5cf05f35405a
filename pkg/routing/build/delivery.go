package build

import (
	"time"

	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/routing"
)

// What holds where neither a route nor its Broker or channel says anything
// about delivery. It is what config-br-defaults of Knative Eventing ships for
// Brokers. Upstream tries a channel's subscribers once and drops the event;
// here they get the same as Triggers.
const (
	DefaultRetry        = 10
	DefaultBackoff      = routing.BackoffExponential
	DefaultBackoffDelay = 200 * time.Millisecond
)

// Bounds of what a DeliverySpec may ask for.
const (
	maxTimeout    = time.Hour
	maxDelay      = 30 * day
	maxRetryAfter = 30 * day
)

func defaultDelivery() routing.Delivery {
	return routing.Delivery{Retry: DefaultRetry, Backoff: DefaultBackoff, BackoffDelay: DefaultBackoffDelay}
}

// saysNothing is whether a DeliverySpec leaves everything to its parent. The
// control-plane spec knows only all or nothing: with any option of its own a
// Trigger or Subscription inherits none, except for the dead letter sink.
func saysNothing(spec *eventingduckv1.DeliverySpec) bool {
	return spec == nil || *spec == eventingduckv1.DeliverySpec{}
}

// delivery reads a spec without its dead letter sink. What a spec that says
// something leaves out is, as upstream: no retries, the default timeout and no
// particular format. Retries without a policy or delay use the default ones,
// where upstream would not wait at all.
func (b *builder) delivery(object string, spec *eventingduckv1.DeliverySpec) routing.Delivery {
	d := defaultDelivery()
	d.Retry = int(max(0, ptr.Deref(spec.Retry, 0)))
	if spec.BackoffPolicy != nil {
		switch p := routing.Backoff(*spec.BackoffPolicy); p {
		case routing.BackoffLinear, routing.BackoffExponential:
			d.Backoff = p
		default:
			b.problem(object, "spec.delivery.backoffPolicy is %s, but must be linear or exponential; %s is used",
				quote(string(p)), d.Backoff)
		}
	}
	if spec.Format != nil {
		switch f := routing.Format(*spec.Format); f {
		case routing.FormatBinary, routing.FormatJSON:
			d.Format = f
		default:
			b.problem(object, "spec.delivery.format is %s, but must be binary or json; binary is used", quote(string(f)))
		}
	}
	if v, ok := b.duration(object, "backoffDelay", spec.BackoffDelay, maxDelay); ok {
		d.BackoffDelay = v
	}
	if v, ok := b.duration(object, "retryAfterMax", spec.RetryAfterMax, maxRetryAfter); ok {
		d.RetryAfterMax = &v
	}
	if v, ok := b.duration(object, "timeout", spec.Timeout, maxTimeout); ok {
		if v == 0 {
			b.problem(object, "spec.delivery.timeout is %s, but must be more than zero; the default is used", quote(*spec.Timeout))
		}
		d.Timeout = v
	}
	return d
}

// duration reads one field of a DeliverySpec. It is not ok if the field is
// empty or wrong, and cut to limit if it is longer.
func (b *builder) duration(object, field string, value *string, limit time.Duration) (d time.Duration, ok bool) {
	if value == nil {
		return 0, false
	}
	d, err := parseISO(*value)
	if err != nil {
		b.problem(object, "spec.delivery.%s is %s: %v; the default is used", field, quote(*value), err)
		return 0, false
	}
	if d > limit {
		b.problem(object, "spec.delivery.%s is %s, but at most %s is possible; that is used", field, quote(*value), limit)
		return limit, true
	}
	return d, true
}

// sink is a dead letter sink, as an object names and its status resolves it.
type sink struct {
	// named is whether the spec names one at all.
	named bool
	dest  *routing.Destination
	// missing says why a sink that is named has no dest.
	missing string
}

// deadLetterSink reads the sink that spec names from the status of its object.
// A status is not looked at where the spec names none: it may lag behind.
func deadLetterSink(spec *eventingduckv1.DeliverySpec, status eventingduckv1.DeliveryStatus, condition string) sink {
	if spec == nil || spec.DeadLetterSink == nil {
		return sink{}
	}
	dest, missing := destination(status.DeadLetterSinkURI, status.DeadLetterSinkCACerts, status.DeadLetterSinkAudience)
	if missing == notResolved && condition != "" {
		missing = condition
	}
	return sink{named: true, dest: dest, missing: missing}
}
