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
	if spec.BackoffDelay != nil {
		d.BackoffDelay, _ = b.duration(object, "spec.delivery.backoffDelay", *spec.BackoffDelay, maxDelay, d.BackoffDelay)
	}
	if spec.Format != nil {
		d.Format = b.format(object, "spec.delivery.format", string(*spec.Format))
	}
	if spec.RetryAfterMax != nil {
		d.RetryAfterMax = b.retryAfterMax(object, "spec.delivery.retryAfterMax", *spec.RetryAfterMax)
	}
	if spec.Timeout != nil {
		d.Timeout = b.timeout(object, "spec.delivery.timeout", *spec.Timeout)
	}
	return d
}

// defaulted is what a Broker's status says about the fields that its spec
// leaves out.
func (b *builder) defaulted(object string, spec *eventingduckv1.DeliverySpec, status map[string]string, d routing.Delivery) routing.Delivery {
	if spec == nil {
		spec = &eventingduckv1.DeliverySpec{}
	}
	if value, ok := status[DeliveryFormatAnnotation]; ok && spec.Format == nil {
		d.Format = b.format(object, "status.annotations "+DeliveryFormatAnnotation, value)
	}
	if value, ok := status[DeliveryRetryAfterMaxAnnotation]; ok && spec.RetryAfterMax == nil {
		d.RetryAfterMax = b.retryAfterMax(object, "status.annotations "+DeliveryRetryAfterMaxAnnotation, value)
	}
	if value, ok := status[DeliveryTimeoutAnnotation]; ok && spec.Timeout == nil {
		d.Timeout = b.timeout(object, "status.annotations "+DeliveryTimeoutAnnotation, value)
	}
	return d
}

// format reads a field of that name.
func (b *builder) format(object, field, value string) routing.Format {
	switch f := routing.Format(value); f {
	case routing.FormatBinary, routing.FormatJSON:
		return f
	}
	b.problem(object, "%s is %s, but must be binary or json; binary is used", field, quote(value))
	return ""
}

// retryAfterMax reads a field of that name; nil is the default.
func (b *builder) retryAfterMax(object, field, value string) *time.Duration {
	if d, ok := b.duration(object, field, value, maxRetryAfter, 0); ok {
		return &d
	}
	return nil
}

// timeout reads a field of that name; zero is the default.
func (b *builder) timeout(object, field, value string) time.Duration {
	d, ok := b.duration(object, field, value, maxTimeout, 0)
	if ok && d == 0 {
		b.problem(object, "%s is %s, but must be more than zero; the default is used", field, quote(value))
	}
	return d
}

// duration reads a field of that name. It is not ok, and otherwise, if it is
// wrong, and cut to limit if it is longer.
func (b *builder) duration(object, field, value string, limit, otherwise time.Duration) (d time.Duration, ok bool) {
	d, err := parseISO(value)
	if err != nil {
		b.problem(object, "%s is %s: %v; the default is used", field, quote(value), err)
		return otherwise, false
	}
	if d > limit {
		b.problem(object, "%s is %s, but at most %s is possible; that is used", field, quote(value), limit)
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
