package build_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

func TestTrigger(t *testing.T) {
	all := streams(t, build.Input{
		Brokers: []*eventingv1.Broker{broker("main", func(b *eventingv1.Broker) { b.UID = "uid-main" })},
		Triggers: []*eventingv1.Trigger{trigger("audit", func(tr *eventingv1.Trigger) {
			tr.UID = "uid-audit"
			tr.Spec.Filter = &eventingv1.TriggerFilter{Attributes: map[string]string{"type": "order"}}
			tr.Status.SubscriberCACerts = ptr.To("PEM")
			tr.Status.SubscriberAudience = ptr.To("audience")
		})},
	})
	want := &routing.Stream{
		Name: brokerName("main"), UID: "uid-main",
		Routes: []*routing.Route{{
			ID: "trigger/shop/audit/uid-audit", Kind: "Trigger", Namespace: "shop", Name: "audit",
			Stream:     brokerName("main"),
			Filter:     routing.Filter{Attributes: map[string]string{"type": "order"}},
			Subscriber: &routing.Destination{URL: "http://audit", CACerts: "PEM", Audience: "audience"},
			Delivery: routing.Delivery{
				Retry: 10, Backoff: routing.BackoffExponential, BackoffDelay: 200 * time.Millisecond,
			},
			MaxInFlight: 100,
		}},
	}
	if !reflect.DeepEqual(all[brokerName("main")], want) {
		t.Errorf("got  %+v\nwant %+v", all[brokerName("main")].Routes[0], want.Routes[0])
	}
}

func TestTriggersOfWhichBroker(t *testing.T) {
	other := broker("other", func(b *eventingv1.Broker) {
		b.Annotations["eventing.knative.dev/broker.class"] = "MTChannelBasedBroker"
	})
	of := func(name string) func(*eventingv1.Trigger) {
		return func(tr *eventingv1.Trigger) { tr.Spec.Broker = name }
	}
	ref := func(namespace, name string) func(*eventingv1.Trigger) {
		return func(tr *eventingv1.Trigger) {
			tr.Spec.Broker = ""
			tr.Spec.BrokerRef = &duckv1.KReference{Namespace: namespace, Name: name}
		}
	}
	all := streams(t, build.Input{
		Brokers: []*eventingv1.Broker{broker("main"), other},
		Triggers: []*eventingv1.Trigger{
			trigger("b"), trigger("a", ref("", "main")), trigger("c", of("other")),
			trigger("d", of("gone")), trigger("e", ref("bank", "main")),
		},
	},
		"Trigger shop/d: Broker shop/gone does not exist",
		`Trigger shop/e: spec.brokerRef names a Broker of another namespace, "bank", which is not enabled`,
	)
	if len(all) != 1 {
		t.Fatalf("%d streams, want the one Broker of class Leat", len(all))
	}
	var ids []string
	for _, r := range all[brokerName("main")].Routes {
		ids = append(ids, r.ID)
	}
	if want := []string{"trigger/shop/a", "trigger/shop/b"}; !slices.Equal(ids, want) {
		t.Errorf("routes %v, want %v", ids, want)
	}
}

func TestTriggerAcrossNamespaces(t *testing.T) {
	tr := trigger("a", func(tr *eventingv1.Trigger) {
		tr.Namespace = "bank"
		tr.Spec.Broker = ""
		tr.Spec.BrokerRef = &duckv1.KReference{Namespace: "shop", Name: "main"}
	})
	all, problems := build.Streams(build.Input{
		Brokers: []*eventingv1.Broker{broker("main")}, Triggers: []*eventingv1.Trigger{tr},
	}, build.Options{CrossNamespace: true})
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	if r := onlyRoute(t, all, brokerName("main")); r.ID != "trigger/bank/a" || r.Unresolved != "" {
		t.Errorf("the route is %s, unresolved: %s", r.ID, r.Unresolved)
	}
}

// A route that is not in the table loses its place: turning the feature off and
// on, or losing its ConfigMap for a moment, must not cost events.
func TestTriggerAcrossNamespacesKeepsItsPlace(t *testing.T) {
	tr := trigger("a", func(tr *eventingv1.Trigger) {
		tr.Namespace = "bank"
		tr.Spec.Broker = ""
		tr.Spec.BrokerRef = &duckv1.KReference{Namespace: "shop", Name: "main"}
	})
	all, problems := build.Streams(build.Input{
		Brokers: []*eventingv1.Broker{broker("main")}, Triggers: []*eventingv1.Trigger{tr},
	}, build.Options{})
	if r := onlyRoute(t, all, brokerName("main")); r.ID != "trigger/bank/a" || !strings.Contains(r.Unresolved, "not enabled") {
		t.Errorf("the route is %s, unresolved: %s", r.ID, r.Unresolved)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, "not enabled") {
		t.Errorf("the problems are %v", problems)
	}
}

func TestUnresolved(t *testing.T) {
	tests := []struct {
		name string
		edit func(*eventingv1.Broker, *eventingv1.Trigger)
		want string // empty: can be served
	}{
		{"no URI yet", func(_ *eventingv1.Broker, tr *eventingv1.Trigger) {
			tr.Status.SubscriberURI = nil
		}, "the subscriber cannot be used: its URI is not resolved yet"},
		{"the controller says why", func(_ *eventingv1.Broker, tr *eventingv1.Trigger) {
			tr.Status.SubscriberURI = nil
			tr.Status.MarkSubscriberResolvedFailed("NotFound", "there is no Service shop/x")
		}, "the subscriber cannot be used: there is no Service shop/x"},
		{"no host", func(_ *eventingv1.Broker, tr *eventingv1.Trigger) {
			tr.Status.SubscriberURI = uri("http:///x")
		}, `the subscriber cannot be used: its URI is "http:///x", but must be absolute, with http or https and a host`},
		{"own sink", func(_ *eventingv1.Broker, tr *eventingv1.Trigger) {
			tr.Spec.Delivery = &delivery{DeadLetterSink: sinkTo("dead")}
			tr.Status.MarkDeadLetterSinkResolvedFailed("NotFound", "there is no Service shop/dead")
		}, "the dead letter sink cannot be used: there is no Service shop/dead"},
		{"the Broker's sink", func(b *eventingv1.Broker, _ *eventingv1.Trigger) {
			b.Spec.Delivery = &delivery{DeadLetterSink: sinkTo("dead")}
			b.Status.MarkDeadLetterSinkResolvedFailed("NotFound", "there is no Service shop/dead")
		}, "the dead letter sink cannot be used: there is no Service shop/dead"},
		{"the Broker's sink, where the Trigger has its own", func(b *eventingv1.Broker, tr *eventingv1.Trigger) {
			b.Spec.Delivery = &delivery{DeadLetterSink: sinkTo("dead")}
			tr.Spec.Delivery = &delivery{DeadLetterSink: sinkTo("own")}
			tr.Status.DeliveryStatus = resolvedSink("http://own")
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, tr := broker("main"), trigger("a")
			tt.edit(b, tr)
			var problems []string
			if tt.want != "" {
				problems = []string{"Trigger shop/a: " + tt.want}
			}
			all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Triggers: []*eventingv1.Trigger{tr}}, problems...)
			if r := onlyRoute(t, all, brokerName("main")); r.Unresolved != tt.want {
				t.Errorf("unresolved is %q, want %q", r.Unresolved, tt.want)
			}
		})
	}
}

// As with Knative's own broker, what cannot be delivered over HTTP is a dead
// letter; the object is told.
func TestDestinationsThatAreNotHTTP(t *testing.T) {
	tr := trigger("a", func(tr *eventingv1.Trigger) {
		tr.Status.SubscriberURI = uri("ftp://me:secret@host/x")
	})
	all := streams(t, build.Input{Brokers: []*eventingv1.Broker{broker("main")}, Triggers: []*eventingv1.Trigger{tr}},
		`Trigger shop/a: every delivery to "ftp://me:xxxxx@host/x" fails: only http and https are known`)
	if r := onlyRoute(t, all, brokerName("main")); r.Unresolved != "" || r.Subscriber.URL != "ftp://me:secret@host/x" {
		t.Errorf("the route is %+v", r)
	}
}

func TestFilters(t *testing.T) {
	type f = eventingv1.SubscriptionsAPIFilter
	tests := []struct {
		name string
		in   f
		want routing.Expr
	}{
		{"none", f{}, routing.Expr{}},
		{"exact", f{Exact: map[string]string{"type": "a"}}, routing.Expr{Exact: map[string]string{"type": "a"}}},
		{"prefix", f{Prefix: map[string]string{"type": "a"}}, routing.Expr{Prefix: map[string]string{"type": "a"}}},
		{"suffix", f{Suffix: map[string]string{"type": "a"}}, routing.Expr{Suffix: map[string]string{"type": "a"}}},
		{"cesql", f{CESQL: "type = 'a'"}, routing.Expr{CESQL: "type = 'a'"}},
		{
			"nested",
			f{All: []f{{Any: []f{{CESQL: "x"}, {}}}, {Not: &f{Not: &f{CESQL: "y"}}}}},
			routing.Expr{All: []routing.Expr{
				{Any: []routing.Expr{{CESQL: "x"}, {}}},
				{Not: &routing.Expr{Not: &routing.Expr{CESQL: "y"}}},
			}},
		},
		{
			"two dialects in one",
			f{Exact: map[string]string{"type": "a"}, CESQL: "x"},
			routing.Expr{All: []routing.Expr{{Exact: map[string]string{"type": "a"}}, {CESQL: "x"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := streams(t, build.Input{
				Brokers:  []*eventingv1.Broker{broker("main")},
				Triggers: []*eventingv1.Trigger{trigger("a", func(tr *eventingv1.Trigger) { tr.Spec.Filters = []f{tt.in} })},
			})
			got := onlyRoute(t, all, brokerName("main")).Filter
			if want := (routing.Filter{Filters: []routing.Expr{tt.want}}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestEmptyFiltersOverrideNothing(t *testing.T) {
	all := streams(t, build.Input{
		Brokers: []*eventingv1.Broker{broker("main")},
		Triggers: []*eventingv1.Trigger{trigger("a", func(tr *eventingv1.Trigger) {
			tr.Spec.Filter = &eventingv1.TriggerFilter{Attributes: map[string]string{"type": "a"}}
			tr.Spec.Filters = []eventingv1.SubscriptionsAPIFilter{}
		})},
	})
	got := onlyRoute(t, all, brokerName("main")).Filter
	if got.Filters != nil || got.Attributes["type"] != "a" {
		t.Errorf("got %+v, want the attributes alone", got)
	}
}

func TestChannel(t *testing.T) {
	all := streams(t, build.Input{
		Channels: []*v1alpha1.LeatChannel{channel("jobs",
			subscriber("b", func(s *eventingduckv1.SubscriberSpec) { s.ReplyURI = uri("https://reply/x") }),
			subscriber("a", func(s *eventingduckv1.SubscriberSpec) { s.SubscriberURI, s.ReplyURI = nil, uri("http://reply") }),
		)},
		Subscriptions: []*messagingv1.Subscription{subscription("b", func(s *messagingv1.Subscription) {
			s.Annotations[build.MaxInFlightAnnotation] = "7"
			s.Annotations[build.DeliveryOrderAnnotation] = "ordered"
			s.Annotations[build.StartAnnotation] = "earliest"
		})},
	})
	got := all[channelName("jobs")]
	wantHosts := []string{"jobs-kn-channel.shop.svc.cluster.local", "jobs-kn-channel.shop.svc", "jobs-kn-channel.shop"}
	if !slices.Equal(got.Hosts, wantHosts) {
		t.Errorf("hosts %v, want %v", got.Hosts, wantHosts)
	}
	a, b := got.Routes[0], got.Routes[1]
	if a.ID != "subscription/shop/a/uid-a" || b.ID != "subscription/shop/b/uid-b" {
		t.Errorf("routes %s and %s", a.ID, b.ID)
	}
	if a.Subscriber != nil || a.Reply.URL != "http://reply" || a.Unresolved != "" {
		t.Errorf("a route with a reply alone is %+v", a)
	}
	if b.Subscriber.URL != "http://b" || b.Reply.URL != "https://reply/x" {
		t.Errorf("a route with a reply goes to %+v and %+v", b.Subscriber, b.Reply)
	}
	if b.MaxInFlight != 7 || !b.Ordered || !b.FromEarliest {
		t.Errorf("the Subscription's annotations were not taken: %+v", b)
	}
	if a.MaxInFlight != 100 || a.Ordered || a.FromEarliest {
		t.Errorf("a subscriber without annotations has not the defaults: %+v", a)
	}
}

func TestChannelWithLongName(t *testing.T) {
	all, _ := build.Streams(build.Input{Channels: []*v1alpha1.LeatChannel{channel(strings.Repeat("n", 63))}},
		build.Options{ClusterDomain: "example.org"})
	host := all[channelName(strings.Repeat("n", 63))].Hosts[0]
	label, rest, _ := strings.Cut(host, ".")
	if len(label) > 63 || !strings.HasSuffix(label, "-kn-channel") || rest != "shop.svc.example.org" {
		t.Errorf("the host is %s", host)
	}
}

func TestSubscribersThatCannotBeRoutes(t *testing.T) {
	failed := subscription("c", func(s *messagingv1.Subscription) {
		s.Status.MarkReferencesNotResolved("NotFound", "there is no Service shop/c")
	})
	all := streams(t, build.Input{
		Channels: []*v1alpha1.LeatChannel{channel("jobs",
			eventingduckv1.SubscriberSpec{SubscriberURI: uri("http://nameless")},
			subscriber("b"), subscriber("b"),
			subscriber("c", func(s *eventingduckv1.SubscriberSpec) { s.SubscriberURI = nil }),
			subscriber("d", func(s *eventingduckv1.SubscriberSpec) { s.ReplyURI = uri("mailto:x") }),
		)},
		Subscriptions: []*messagingv1.Subscription{failed},
	},
		"LeatChannel shop/jobs: a subscriber in spec.subscribers has neither a uid nor a name, so its progress could not be kept",
		"Subscription shop/b: channel/shop/jobs has a subscriber of this name and uid twice; the first one is used",
		"Subscription shop/c: its references cannot be resolved: there is no Service shop/c",
		`Subscription shop/d: the reply cannot be used: its URI is "mailto:x", but must be absolute, with http or https and a host`,
	)
	if n := len(all[channelName("jobs")].Routes); n != 3 {
		t.Errorf("%d routes, want b, c and d", n)
	}
}

func TestLocalDestinations(t *testing.T) {
	to := func(s string) func(*eventingv1.Trigger) {
		return func(tr *eventingv1.Trigger) { tr.Status.SubscriberURI = uri(s) }
	}
	main, jobs := brokerName("main"), channelName("jobs")
	tests := []struct {
		url  string
		want *routing.StreamName
	}{
		{base + "/shop/main", &main},
		{base + "/shop/main/", &main},
		{base + "/channels/shop/jobs", &jobs},
		{base + "/shop/main?x=1", nil},
		{base + "/shop/gone", nil},
		{"https://127.0.0.1:8080/shop/main", nil},
		{"http://127.0.0.1:9090/shop/main", nil},
	}
	for _, tt := range tests {
		all := streams(t, build.Input{
			Brokers: []*eventingv1.Broker{broker("main")}, Channels: []*v1alpha1.LeatChannel{channel("jobs")},
			Triggers: []*eventingv1.Trigger{trigger("a", to(tt.url))},
		})
		if got := onlyRoute(t, all, main).Subscriber.Local; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s leads to %v, want %v", tt.url, got, tt.want)
		}
	}
}

func TestAnnotations(t *testing.T) {
	set := func(annotation, value string) func(*eventingv1.Trigger) {
		return func(tr *eventingv1.Trigger) { tr.Annotations[annotation] = value }
	}
	number := func(value string) string {
		return "Trigger shop/a: annotation leat.dev/max-in-flight is " + value +
			", but must be a whole number from 1 to 10000; 100 is used"
	}
	tests := []struct {
		annotation, value string
		check             func(*routing.Route) bool
		problem           string
	}{
		{build.MaxInFlightAnnotation, "1", func(r *routing.Route) bool { return r.MaxInFlight == 1 }, ""},
		{build.MaxInFlightAnnotation, "10000", func(r *routing.Route) bool { return r.MaxInFlight == 10000 }, ""},
		{build.MaxInFlightAnnotation, "0", func(r *routing.Route) bool { return r.MaxInFlight == 100 }, number(`"0"`)},
		{build.MaxInFlightAnnotation, "10001", func(r *routing.Route) bool { return r.MaxInFlight == 100 }, number(`"10001"`)},
		{build.MaxInFlightAnnotation, "ten\n", func(r *routing.Route) bool { return r.MaxInFlight == 100 }, number(`"ten\n"`)},
		{build.DeliveryOrderAnnotation, "ordered", func(r *routing.Route) bool { return r.Ordered }, ""},
		{build.DeliveryOrderAnnotation, "unordered", func(r *routing.Route) bool { return !r.Ordered }, ""},
		{build.DeliveryOrderAnnotation, "Ordered", func(r *routing.Route) bool { return !r.Ordered },
			`Trigger shop/a: annotation leat.dev/delivery-order is "Ordered", but must be unordered or ordered; unordered is used`},
		{build.StartAnnotation, "earliest", func(r *routing.Route) bool { return r.FromEarliest }, ""},
		{build.StartAnnotation, "latest", func(r *routing.Route) bool { return !r.FromEarliest }, ""},
		{build.StartAnnotation, "first", func(r *routing.Route) bool { return !r.FromEarliest },
			`Trigger shop/a: annotation leat.dev/start is "first", but must be latest or earliest; latest is used`},
	}
	for _, tt := range tests {
		t.Run(tt.annotation+"="+tt.value, func(t *testing.T) {
			var problems []string
			if tt.problem != "" {
				problems = []string{tt.problem}
			}
			all := streams(t, build.Input{
				Brokers:  []*eventingv1.Broker{broker("main")},
				Triggers: []*eventingv1.Trigger{trigger("a", set(tt.annotation, tt.value))},
			}, problems...)
			if r := onlyRoute(t, all, brokerName("main")); !tt.check(r) {
				t.Errorf("the route is %+v", r)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	keep := func(m *metav1.ObjectMeta, value string) { m.Annotations[build.RetentionAnnotation] = value }
	b, c := broker("main"), channel("jobs")
	keep(&b.ObjectMeta, "48h")
	keep(&c.ObjectMeta, "P7D")
	all := streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Channels: []*v1alpha1.LeatChannel{c}})
	if got := all[brokerName("main")].Retention; got != 48*time.Hour {
		t.Errorf("the Broker keeps for %v", got)
	}
	if got := all[channelName("jobs")].Retention; got != 7*24*time.Hour {
		t.Errorf("the channel keeps for %v", got)
	}

	keep(&b.ObjectMeta, "forever")
	keep(&c.ObjectMeta, "P11Y")
	streams(t, build.Input{Brokers: []*eventingv1.Broker{b}, Channels: []*v1alpha1.LeatChannel{c}},
		`Broker shop/main: annotation leat.dev/retention is "forever": it is neither a Go duration such as 48h nor an ISO-8601 one such as P2D; `+
			"records that every route has settled are not kept",
		`LeatChannel shop/jobs: annotation leat.dev/retention is "P11Y": it is longer than the allowed 87600h0m0s; `+
			"records that every route has settled are not kept",
	)
}

func TestOrderOfObjectsDoesNotMatter(t *testing.T) {
	in := build.Input{
		Brokers:  []*eventingv1.Broker{broker("main"), broker("more")},
		Triggers: []*eventingv1.Trigger{trigger("a"), trigger("b"), trigger("c", func(tr *eventingv1.Trigger) { tr.Status.SubscriberURI = nil })},
		Channels: []*v1alpha1.LeatChannel{channel("x", subscriber("a"), subscriber("b")), channel("y")},
	}
	streams1, problems1 := build.Streams(in, build.Options{})
	slices.Reverse(in.Brokers)
	slices.Reverse(in.Triggers)
	slices.Reverse(in.Channels)
	slices.Reverse(in.Channels[1].Spec.Subscribers)
	streams2, problems2 := build.Streams(in, build.Options{})
	if !reflect.DeepEqual(streams1, streams2) || !reflect.DeepEqual(problems1, problems2) {
		t.Errorf("another order gave another table:\n%v\n%v", streams1, streams2)
	}
}
