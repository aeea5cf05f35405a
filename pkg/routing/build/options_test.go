package build_test

import (
	"fmt"
	"maps"
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

type annotations = map[string]string

// said are the annotations with these options, in the order max-in-flight,
// delivery-order, start; those that are empty are left out.
func said(values ...string) annotations {
	a := annotations{}
	for i, key := range []string{build.MaxInFlightAnnotation, build.DeliveryOrderAnnotation, build.StartAnnotation} {
		if i < len(values) && values[i] != "" {
			a[key] = values[i]
		}
	}
	return a
}

func optionsOf(r *routing.Route) string {
	return fmt.Sprint(r.MaxInFlight, r.Ordered, r.FromEarliest)
}

// A route's own annotations weigh most, then those of its Broker or channel,
// then what a controller says in the status of that.
func TestWhoseOptionsHold(t *testing.T) {
	tests := []struct {
		name                string
		status, parent, own annotations
		want                string
		parentSays, ownSays string // problems, without the object's name
	}{
		{name: "nobody says anything", want: "100 false false"},
		{name: "the status", status: said("1", "ordered", "earliest"), want: "1 true true"},
		{name: "the parent", parent: said("2", "ordered", "earliest"), want: "2 true true"},
		{name: "its own", own: said("3", "ordered", "earliest"), want: "3 true true"},
		{
			name: "parent over status", status: said("1", "ordered", "earliest"), parent: said("2", "unordered", "latest"),
			want: "2 false false",
		},
		{
			name: "own over both", status: said("1", "ordered", "earliest"), parent: said("2", "unordered", "latest"),
			own: said("3", "ordered", "earliest"), want: "3 true true",
		},
		{name: "one from each", status: said("1"), parent: said("", "ordered"), own: said("", "", "earliest"), want: "1 true true"},
		{
			name: "a mistake of its own", parent: said("2", "ordered"), own: said("none", "sorted"), want: "2 true false",
			ownSays: "annotation leat.dev/max-in-flight is \"none\", but must be a whole number from 1 to 10000; 2 is used" +
				"|annotation leat.dev/delivery-order is \"sorted\", but must be unordered or ordered; ordered is used",
		},
		{
			name: "a mistake of the parent", status: said("1"), parent: said("-1"), want: "1 false false",
			parentSays: "annotation leat.dev/max-in-flight is \"-1\", but must be a whole number from 1 to 10000; 1 is used",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := broker("main", func(b *eventingv1.Broker) {
				maps.Copy(b.Annotations, tt.parent)
				b.Status.Annotations = tt.status
			})
			tr := trigger("a", func(tr *eventingv1.Trigger) { maps.Copy(tr.Annotations, tt.own) })
			all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{tr}},
				problemsOf("Broker shop/main", tt.parentSays, "Trigger shop/a", tt.ownSays)...)
			if got := optionsOf(onlyRoute(t, all, brokerName("main"))); got != tt.want {
				t.Errorf("a Trigger has %s, want %s", got, tt.want)
			}
			c := channel("jobs", subscriber("a"))
			maps.Copy(c.Annotations, tt.parent)
			c.Status.Annotations = tt.status
			s := subscription("a", func(s *messagingv1.Subscription) { maps.Copy(s.Annotations, tt.own) })
			all = streams(t, build.Input{Channels: []*v1alpha1.LeatChannel{c}, Subscriptions: []*messagingv1.Subscription{s}},
				problemsOf("LeatChannel shop/jobs", tt.parentSays, "Subscription shop/a", tt.ownSays)...)
			if got := optionsOf(onlyRoute(t, all, channelName("jobs"))); got != tt.want {
				t.Errorf("a Subscription has %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWhoseRetentionHolds(t *testing.T) {
	tests := []struct {
		status, own string
		want        time.Duration
		problem     string
	}{
		{"48h", "", 48 * time.Hour, ""},
		{"48h", "P1D", 24 * time.Hour, ""},
		{"48h", "0", 0, ""},
		{"48h", "soon", 48 * time.Hour, `annotation leat.dev/retention is "soon": it is neither a Go duration such as 48h nor an ISO-8601 one such as P2D; 48h0m0s is used`},
	}
	for _, tt := range tests {
		b := broker("main", func(b *eventingv1.Broker) {
			b.Status.Annotations = annotations{build.RetentionAnnotation: tt.status}
			if tt.own != "" {
				b.Annotations[build.RetentionAnnotation] = tt.own
			}
		})
		all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}}, problemsOf("Broker shop/main", tt.problem)...)
		if got := all[brokerName("main")].Retention; got != tt.want {
			t.Errorf("status %q and annotation %q keep for %v, want %v", tt.status, tt.own, got, tt.want)
		}
	}
}

// What config-br-defaults says about fields that Knative's defaulting does not
// copy into the spec.
func TestDeliveryInTheStatus(t *testing.T) {
	status := annotations{
		build.DeliveryTimeoutAnnotation: "PT9S", build.DeliveryRetryAfterMaxAnnotation: "PT0S", build.DeliveryFormatAnnotation: "json",
	}
	with := func(retry int, edit func(*routing.Delivery)) routing.Delivery {
		d := defaults(retry, "")
		edit(&d)
		return d
	}
	all := func(d *routing.Delivery) {
		d.Timeout, d.RetryAfterMax, d.Format = 9*time.Second, ptr.To(time.Duration(0)), routing.FormatJSON
	}
	tests := []struct {
		name        string
		status      annotations
		parent, own *delivery
		want        routing.Delivery
		problems    string
	}{
		{"no spec", status, nil, nil, with(10, all), ""},
		{"a spec that says something else", status, &delivery{Retry: ptr.To[int32](3)}, nil, with(3, all), ""},
		{"a spec that says all", status, &delivery{
			Timeout: ptr.To("PT1S"), RetryAfterMax: ptr.To("PT2S"), Format: ptr.To(eventingduckv1.DeliveryFormatBinary),
		}, nil, with(0, func(d *routing.Delivery) {
			d.Timeout, d.RetryAfterMax, d.Format = time.Second, ptr.To(2*time.Second), routing.FormatBinary
		}), ""},
		{"a Trigger with its own inherits none", status, nil, &delivery{Retry: ptr.To[int32](3)}, defaults(3, ""), ""},
		{
			"mistakes", annotations{
				build.DeliveryTimeoutAnnotation: "PT0S", build.DeliveryRetryAfterMaxAnnotation: "-", build.DeliveryFormatAnnotation: "xml",
			}, nil, nil, defaults(10, ""),
			`status.annotations leat.dev/delivery-format is "xml", but must be binary or json; binary is used` +
				`|status.annotations leat.dev/delivery-retry-after-max is "-": it is no ISO-8601 duration such as PT0.2S; the default is used` +
				`|status.annotations leat.dev/delivery-timeout is "PT0S", but must be more than zero; the default is used`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := broker("main", func(b *eventingv1.Broker) {
				b.Spec.Delivery, b.Status.Annotations = tt.parent, tt.status
			})
			tr := trigger("a", func(tr *eventingv1.Trigger) { tr.Spec.Delivery = tt.own })
			all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{tr}},
				problemsOf("Broker shop/main", tt.problems)...)
			if got := onlyRoute(t, all, brokerName("main")).Delivery; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// They are a controller's to set, not a user's.
func TestDeliveryInTheMetadataIsNothing(t *testing.T) {
	b := broker("main", func(b *eventingv1.Broker) { b.Annotations[build.DeliveryTimeoutAnnotation] = "PT9S" })
	all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{trigger("a")}})
	if got := onlyRoute(t, all, brokerName("main")).Delivery.Timeout; got != 0 {
		t.Errorf("the timeout is %v", got)
	}
}

func TestBrokerOptions(t *testing.T) {
	got, err := build.BrokerOptions(map[string]string{
		"retention": "P2D", "max-in-flight": "10000", "delivery-order": "ordered", "start": "earliest\n",
		"_example": "x", "channel-template-spec": "kind: InMemoryChannel",
	})
	want := annotations{
		build.RetentionAnnotation: "P2D", build.MaxInFlightAnnotation: "10000",
		build.DeliveryOrderAnnotation: "ordered", build.StartAnnotation: "earliest",
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := build.BrokerOptions(nil); err != nil || len(got) != 0 {
		t.Errorf("no options are %v, %v", got, err)
	}
	b := broker("main", func(b *eventingv1.Broker) { b.Status.Annotations = want })
	all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{trigger("a")}})
	if r := onlyRoute(t, all, brokerName("main")); optionsOf(r) != "10000 true true" || all[brokerName("main")].Retention != 48*time.Hour {
		t.Errorf("its Broker has the route %+v", r)
	}
}

func TestBrokerOptionsThatAreWrong(t *testing.T) {
	tests := []struct {
		data map[string]string
		want string
	}{
		{annotations{"max-in-flight": "0"}, `max-in-flight is "0": it must be a whole number from 1 to 10000`},
		{annotations{"delivery-order": ""}, `delivery-order is "": it must be unordered or ordered`},
		{annotations{"start": "now"}, `start is "now": it must be latest or earliest`},
		{annotations{"retention": "P11Y"}, `retention is "P11Y": it is longer than the allowed 87600h0m0s`},
		{
			annotations{"leat.dev/retention\n": "48h"},
			`"leat.dev/retention\n" is no option of a Broker, which are delivery-order, max-in-flight, retention, start`,
		},
		{annotations{"start": "now", "max-in-flight": "x", "retention": "48h"},
			`max-in-flight is "x": it must be a whole number from 1 to 10000; start is "now": it must be latest or earliest`},
	}
	for _, tt := range tests {
		got, err := build.BrokerOptions(tt.data)
		if err == nil || err.Error() != tt.want || got != nil {
			t.Errorf("%v gives %v and the error\n%v\nwant\n%s", tt.data, got, err, tt.want)
		}
	}
}
