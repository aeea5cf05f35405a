package build

import (
	"fmt"
	"strconv"
	"time"

	"leat.dev/leat/pkg/routing"
)

// The annotations by which an object says what the Knative API has no field
// for. A value that is not allowed is a Problem, and the default holds.
const (
	// MaxInFlightAnnotation, on a Trigger or Subscription, bounds the
	// deliveries that are under way at once: 1 to 10000.
	MaxInFlightAnnotation = "leat.dev/max-in-flight"
	// DeliveryOrderAnnotation, on a Trigger or Subscription, is ordered or
	// unordered (the default).
	DeliveryOrderAnnotation = "leat.dev/delivery-order"
	// StartAnnotation, on a Trigger or Subscription, is earliest or latest (the
	// default). It says where a new route starts to read.
	StartAnnotation = "leat.dev/start"
	// RetentionAnnotation, on a Broker or channel, is how long records are kept
	// that every route has settled: a Go duration (48h) or an ISO-8601 one
	// (P2D), at most ten years. Without it they are not kept.
	RetentionAnnotation = "leat.dev/retention"
)

const (
	defaultMaxInFlight = 100
	maxMaxInFlight     = 10000
	maxRetention       = 3650 * day
)

// annotate takes a route's annotations over.
func (b *builder) annotate(r *routing.Route, annotations map[string]string) {
	r.MaxInFlight = b.maxInFlight(r.String(), annotations)
	r.Ordered = b.oneOf(r.String(), annotations, DeliveryOrderAnnotation, "unordered", "ordered")
	r.FromEarliest = b.oneOf(r.String(), annotations, StartAnnotation, "latest", "earliest")
}

func (b *builder) maxInFlight(object string, annotations map[string]string) int {
	value, ok := annotations[MaxInFlightAnnotation]
	if !ok {
		return defaultMaxInFlight
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxMaxInFlight {
		b.problem(object, "annotation %s is %s, but must be a whole number from 1 to %d; the default %d is used",
			MaxInFlightAnnotation, quote(value), maxMaxInFlight, defaultMaxInFlight)
		return defaultMaxInFlight
	}
	return n
}

// oneOf is whether an annotation has its other value instead of the default.
func (b *builder) oneOf(object string, annotations map[string]string, annotation, normal, other string) bool {
	value, ok := annotations[annotation]
	if ok && value != normal && value != other {
		b.problem(object, "annotation %s is %s, but must be %s or %s; the default %s is used",
			annotation, quote(value), normal, other, normal)
	}
	return value == other
}

func (b *builder) retention(object string, annotations map[string]string) time.Duration {
	value, ok := annotations[RetentionAnnotation]
	if !ok {
		return 0
	}
	d, err := parseDuration(value)
	if err == nil && d > maxRetention {
		err = fmt.Errorf("it is longer than the allowed %s", maxRetention)
	}
	if err != nil {
		b.problem(object, "annotation %s is %s: %v; records that every route has settled are not kept",
			RetentionAnnotation, quote(value), err)
		return 0
	}
	return d
}

// quote is a value as it may stand in a Problem: with nothing that could break
// a line, and not longer than a line.
func quote(value string) string {
	const longest = 80
	if len(value) > longest {
		value = value[:longest] + "..."
	}
	return strconv.Quote(value)
}
