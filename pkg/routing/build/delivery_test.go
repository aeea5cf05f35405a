package build_test

import (
	"reflect"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// complete has every option and names the sink dead-{name}.
func complete(name string, retry int32) *delivery {
	return &delivery{
		DeadLetterSink: sinkTo("dead-" + name),
		Retry:          ptr.To(retry),
		BackoffPolicy:  ptr.To(eventingduckv1.BackoffPolicyLinear),
		BackoffDelay:   ptr.To("PT1.5S"),
		Timeout:        ptr.To("PT30S"),
		RetryAfterMax:  ptr.To("PT2M"),
		Format:         ptr.To(eventingduckv1.DeliveryFormatJson),
	}
}

func completeRoute(name string, retry int) routing.Delivery {
	return routing.Delivery{
		Retry: retry, Backoff: routing.BackoffLinear, BackoffDelay: 1500 * time.Millisecond, Timeout: 30 * time.Second,
		RetryAfterMax: ptr.To(2 * time.Minute), Format: routing.FormatJSON,
		DeadLetterSink: &routing.Destination{URL: "http://dead-" + name},
	}
}

func defaults(retry int, sink string) routing.Delivery {
	d := routing.Delivery{Retry: retry, Backoff: routing.BackoffExponential, BackoffDelay: 200 * time.Millisecond}
	if sink != "" {
		d.DeadLetterSink = &routing.Destination{URL: sink}
	}
	return d
}

// inheritance is the same for Triggers of a Broker and subscribers of a channel.
var inheritance = []struct {
	name        string
	parent, own *delivery
	want        routing.Delivery
}{
	{"nobody says anything", nil, nil, defaults(10, "")},
	{"nobody says anything, at length", &delivery{}, &delivery{}, defaults(10, "")},
	{"all is inherited", complete("parent", 3), nil, completeRoute("parent", 3)},
	{"an empty delivery inherits", complete("parent", 3), &delivery{}, completeRoute("parent", 3)},
	{"all of its own", complete("parent", 3), complete("own", 4), completeRoute("own", 4)},
	{"one of its own leaves only the sink", complete("parent", 3), &delivery{Retry: ptr.To[int32](5)}, defaults(5, "http://dead-parent")},
	{"a sink of its own inherits no retries", complete("parent", 3), &delivery{DeadLetterSink: sinkTo("dead-own")}, defaults(0, "http://dead-own")},
	{"a parent with a sink alone", &delivery{DeadLetterSink: sinkTo("dead-parent")}, nil, defaults(0, "http://dead-parent")},
	{"zero is zero", nil, &delivery{Retry: ptr.To[int32](0)}, defaults(0, "")},
}

func TestTriggersInherit(t *testing.T) {
	for _, tt := range inheritance {
		t.Run(tt.name, func(t *testing.T) {
			b := broker("main", func(b *eventingv1.Broker) {
				b.Spec.Delivery = tt.parent
				// A status may lag behind: what the spec does not name is not taken.
				b.Status.DeliveryStatus = resolvedSink("http://dead-parent")
			})
			tr := trigger("a", func(tr *eventingv1.Trigger) {
				tr.Spec.Delivery = tt.own
				tr.Status.DeliveryStatus = resolvedSink("http://dead-own")
			})
			all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{tr}})
			if got := onlyRoute(t, all, brokerName("main")).Delivery; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestSubscribersInherit(t *testing.T) {
	for _, tt := range inheritance {
		t.Run(tt.name, func(t *testing.T) {
			held := tt.own
			if tt.own != nil && tt.own.DeadLetterSink != nil {
				// The controller leaves the resolved URI in the channel's spec.
				held = tt.own.DeepCopy()
				held.DeadLetterSink.Ref, held.DeadLetterSink.URI = nil, uri("http://dead-own")
			}
			c := channel("jobs", subscriber("a", func(s *eventingduckv1.SubscriberSpec) { s.Delivery = held }))
			c.Spec.Delivery = tt.parent
			c.Status.DeliveryStatus = resolvedSink("http://dead-parent")
			in := build.Input{Channels: []*v1alpha1.LeatChannel{c}}
			got := onlyRoute(t, streams(t, in), channelName("jobs")).Delivery
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("without the Subscription: got  %+v\nwant %+v", got, tt.want)
			}
			in.Subscriptions = []*messagingv1.Subscription{subscription("a", func(s *messagingv1.Subscription) { s.Spec.Delivery = tt.own })}
			got = onlyRoute(t, streams(t, in), channelName("jobs")).Delivery
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("with the Subscription: got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestDeliveryThatIsWrong(t *testing.T) {
	tests := []struct {
		name    string
		spec    delivery
		edit    func(*routing.Delivery) // from the defaults with retry 1
		problem string
	}{
		{"negative retries", delivery{Retry: ptr.To[int32](-1)}, func(d *routing.Delivery) { d.Retry = 0 }, ""},
		{"policy", delivery{BackoffPolicy: ptr.To(eventingduckv1.BackoffPolicyType("square"))}, nil,
			`spec.delivery.backoffPolicy is "square", but must be linear or exponential; exponential is used`},
		{"format", delivery{Format: ptr.To(eventingduckv1.FormatType("xml"))}, nil,
			`spec.delivery.format is "xml", but must be binary or json; binary is used`},
		{"delay", delivery{BackoffDelay: ptr.To("-")}, nil,
			`spec.delivery.backoffDelay is "-": it is no ISO-8601 duration such as PT0.2S; the default is used`},
		{"delay of years", delivery{BackoffDelay: ptr.To("P1Y")}, func(d *routing.Delivery) { d.BackoffDelay = 720 * time.Hour },
			`spec.delivery.backoffDelay is "P1Y", but at most 720h0m0s is possible; that is used`},
		{"timeout zero", delivery{Timeout: ptr.To("PT0S")}, nil,
			`spec.delivery.timeout is "PT0S", but must be more than zero; the default is used`},
		{"timeout of a day", delivery{Timeout: ptr.To("P1D")}, func(d *routing.Delivery) { d.Timeout = time.Hour },
			`spec.delivery.timeout is "P1D", but at most 1h0m0s is possible; that is used`},
		{"negative retry-after", delivery{RetryAfterMax: ptr.To("-PT5S")}, nil,
			`spec.delivery.retryAfterMax is "-PT5S": it is negative; the default is used`},
		{"retry-after zero is right", delivery{RetryAfterMax: ptr.To("PT0S")},
			func(d *routing.Delivery) { d.RetryAfterMax = ptr.To(time.Duration(0)) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.spec.Retry == nil {
				tt.spec.Retry = ptr.To[int32](1)
			}
			want := defaults(1, "")
			if tt.edit != nil {
				tt.edit(&want)
			}
			var problems []string
			if tt.problem != "" {
				problems = []string{"Trigger shop/a: " + tt.problem}
			}
			all := streams(t, build.Input{
				Brokers:  []*eventingv1.Broker{broker("main")},
				Triggers: []*eventingv1.Trigger{trigger("a", func(tr *eventingv1.Trigger) { tr.Spec.Delivery = &tt.spec })},
			}, problems...)
			if got := onlyRoute(t, all, brokerName("main")).Delivery; !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// A mistake in a Broker is told once, not once for each of its Triggers.
func TestMistakeOfTheBrokerIsToldOnce(t *testing.T) {
	b := broker("main", func(b *eventingv1.Broker) { b.Spec.Delivery = &delivery{BackoffDelay: ptr.To("soon")} })
	streams(t, build.Input{
		Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{trigger("a"), trigger("b")},
	}, `Broker shop/main: spec.delivery.backoffDelay is "soon": it is no ISO-8601 duration such as PT0.2S; the default is used`)
}
