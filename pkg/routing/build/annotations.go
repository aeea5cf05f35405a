package build

import (
	"fmt"
	"strconv"
	"time"

	"leat.dev/leat/pkg/routing"
)

// The annotations by which an object says what the Knative API has no field
// for. A value that is not allowed is a Problem, and what would hold without it
// holds.
//
// The first three are for a Trigger or Subscription. A Broker or channel that
// has them sets what holds for those that do not. Each of them, and
// RetentionAnnotation, may stand in the metadata of a Broker or channel or, with
// less weight, in its status.annotations, where a controller puts what its
// spec.config says.
const (
	// MaxInFlightAnnotation bounds the deliveries that are under way at once:
	// 1 to 10000.
	MaxInFlightAnnotation = "leat.dev/max-in-flight"
	// DeliveryOrderAnnotation is ordered or unordered (the default).
	DeliveryOrderAnnotation = "leat.dev/delivery-order"
	// StartAnnotation is earliest or latest (the default). It says where a new
	// route starts to read.
	StartAnnotation = "leat.dev/start"
	// RetentionAnnotation, on a Broker or channel, is how long records are kept
	// that every route has settled: a Go duration (48h) or an ISO-8601 one
	// (P2D), at most ten years. Without it they are not kept.
	RetentionAnnotation = "leat.dev/retention"
)

// The keys of a Broker's status.annotations alone with the defaults of its
// cluster (config-br-defaults) for fields of spec.delivery. Knative's own
// defaulting sets the other fields in the spec. Each holds where the spec leaves
// its field out.
const (
	// DeliveryTimeoutAnnotation is a timeout, as an ISO-8601 duration.
	DeliveryTimeoutAnnotation = "leat.dev/delivery-timeout"
	// DeliveryRetryAfterMaxAnnotation is a retryAfterMax, as an ISO-8601
	// duration.
	DeliveryRetryAfterMaxAnnotation = "leat.dev/delivery-retry-after-max"
	// DeliveryFormatAnnotation is a format, binary or json.
	DeliveryFormatAnnotation = "leat.dev/delivery-format"
)

const (
	defaultMaxInFlight = 100
	maxMaxInFlight     = 10000
	maxRetention       = 3650 * day
)

// The values of annotations that are one of two words.
const (
	unordered, ordered = "unordered", "ordered"
	latest, earliest   = "latest", "earliest"
)

// options are what annotations say about a route.
type options struct {
	maxInFlight           int
	ordered, fromEarliest bool
}

var defaultOptions = options{maxInFlight: defaultMaxInFlight}

// options reads annotations; what they do not say is inherited.
func (b *builder) options(object string, annotations map[string]string, inherited options) options {
	o := inherited
	if value, ok := annotations[MaxInFlightAnnotation]; ok {
		n, err := parseMaxInFlight(value)
		if err != nil {
			b.problem(object, "annotation %s is %s, but %v; %d is used", MaxInFlightAnnotation, quote(value), err, o.maxInFlight)
		} else {
			o.maxInFlight = n
		}
	}
	o.ordered = b.choice(object, annotations, DeliveryOrderAnnotation, unordered, ordered, o.ordered)
	o.fromEarliest = b.choice(object, annotations, StartAnnotation, latest, earliest, o.fromEarliest)
	return o
}

// set gives a route its options.
func (o options) set(r *routing.Route) {
	r.MaxInFlight, r.Ordered, r.FromEarliest = o.maxInFlight, o.ordered, o.fromEarliest
}

// choice is whether an annotation is yes and not no.
func (b *builder) choice(object string, annotations map[string]string, annotation, no, yes string, inherited bool) bool {
	value, ok := annotations[annotation]
	if !ok {
		return inherited
	}
	chosen, err := parseChoice(value, no, yes)
	if err != nil {
		used := no
		if inherited {
			used = yes
		}
		b.problem(object, "annotation %s is %s, but %v; %s is used", annotation, quote(value), err, used)
		return inherited
	}
	return chosen
}

// retention reads how long a Broker or channel keeps records; what annotations
// do not say is inherited.
func (b *builder) retention(object string, annotations map[string]string, inherited time.Duration) time.Duration {
	value, ok := annotations[RetentionAnnotation]
	if !ok {
		return inherited
	}
	d, err := parseRetention(value)
	if err != nil {
		used := "records that every route has settled are not kept"
		if inherited > 0 {
			used = inherited.String() + " is used"
		}
		b.problem(object, "annotation %s is %s: %v; %s", RetentionAnnotation, quote(value), err, used)
		return inherited
	}
	return d
}

func parseMaxInFlight(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxMaxInFlight {
		return 0, fmt.Errorf("must be a whole number from 1 to %d", maxMaxInFlight)
	}
	return n, nil
}

// parseChoice is whether a value is yes, and an error if it is neither.
func parseChoice(value, no, yes string) (bool, error) {
	if value != no && value != yes {
		return false, fmt.Errorf("must be %s or %s", no, yes)
	}
	return value == yes, nil
}

func parseRetention(value string) (time.Duration, error) {
	d, err := parseDuration(value)
	if err == nil && d > maxRetention {
		err = fmt.Errorf("it is longer than the allowed %s", maxRetention)
	}
	return d, err
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
