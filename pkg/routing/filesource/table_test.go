package filesource

import (
	"reflect"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

// one is the table of one file, and the problems without the file's name.
func one(t *testing.T, data string) *routing.Table {
	t.Helper()
	s := begin(t)
	s.see(0, map[string]any{"m/a.yaml": data})
	return s.table
}

func TestProblems(t *testing.T) {
	const main = "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: main}\n"
	tests := []struct{ name, data, want string }{
		{"unknown field", triggerYAML("a", "main", "subscribers: {uri: http://x}\nsubscriber: {uri: http://x}"),
			`m/a.yaml: Trigger default/a: unknown field "spec.subscribers"`},
		{"case of a field", triggerYAML("a", "main", "Subscriber: {uri: http://x}"),
			`m/a.yaml: Trigger default/a: unknown field "spec.Subscriber"`},
		{"type of a field", "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b, annotations: {leat.dev/x: 1}}\n",
			"m/a.yaml: Broker default/b: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.annotations of type string"},
		{"not valid", triggerYAML("a", "main", "delivery: {retry: -1}\nsubscriber: {uri: http://x}"),
			"m/a.yaml: Trigger default/a: invalid value: -1: spec.delivery.retry"},
		{"a value that upstream's validation panics on", triggerYAML("a", "main", "delivery: {backoffDelay: '-'}\nsubscriber: {uri: http://x}"),
			"m/a.yaml: Trigger default/a: a value is so wrong that it cannot be checked: runtime error: index out of range [0] with length 0"},
		{"no kind", "a: 1\n", "m/a.yaml: a document is no object with apiVersion, kind and metadata"},
		{"a list", "- a\n", "m/a.yaml: a document is no object with apiVersion, kind and metadata"},
		{"no name", "apiVersion: eventing.knative.dev/v1\nkind: Broker\n", "m/a.yaml: a Broker has no metadata.name"},
		{"a name that is a path", brokerYAML("a/b"),
			"m/a.yaml: Broker default/a/b: metadata.name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', " +
				"and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
				"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
		{"another kind", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
			"m/a.yaml: Deployment default/x: apps/v1 Deployment is no kind that is read here; those are " + kindsText},
		{"another version", "apiVersion: eventing.knative.dev/v1beta1\nkind: Broker\nmetadata: {name: x}\n",
			"m/a.yaml: Broker default/x: eventing.knative.dev/v1beta1 Broker is no kind that is read here; those are " + kindsText},
		{"another class", "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: x, annotations: {eventing.knative.dev/broker.class: Kafka}}\n",
			`m/a.yaml: Broker default/x: its class is "Kafka", so it is left out with its Triggers; ` +
				"set the annotation eventing.knative.dev/broker.class to Leat or remove it"},
		{"another kind of channel", channelYAML("c", "channelTemplate: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel}"),
			"m/a.yaml: Channel default/c: spec.channelTemplate is messaging.knative.dev/v1 InMemoryChannel, " +
				"but must be messaging.knative.dev/v1alpha1 LeatChannel or left out"},
		{"a channel's template", channelYAML("c", "channelTemplate: {apiVersion: messaging.knative.dev/v1alpha1, kind: LeatChannel, spec: {x: 1}}"),
			`m/a.yaml: Channel default/c: spec.channelTemplate.spec: unknown field "x"`},
		{"a Service in a cluster", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ClusterIP}\n",
			`m/a.yaml: Service default/s: spec.type is "ClusterIP", but without a cluster only a Service of type ExternalName leads anywhere`},
		{"a Service's port", serviceYAML("s", "externalName: localhost\nports: [{port: 70000}]"),
			"m/a.yaml: Service default/s: spec.ports[0].port: must be between 1 and 65535, inclusive"},
		{"no Broker", triggerYAML("a", "gone", ""), "m/a.yaml: Trigger default/a: Broker default/gone does not exist"},
		{"no channel", subscriptionYAML("s", kindChannel, "gone", ""),
			"m/a.yaml: Subscription default/s: there is no Channel default/gone of messaging.knative.dev/v1 in the manifests"},
		{"a LeatChannel called Channel", leatChannelYAML("c", "{}") + subscriptionYAML("s", kindChannel, "c", ""),
			"m/a.yaml: Subscription default/s: there is no Channel default/c of messaging.knative.dev/v1 in the manifests"},
		{"no Service", triggerYAML("a", "main", "subscriber: "+refTo(kindService, "gone")),
			"m/a.yaml: Trigger default/a: the subscriber cannot be used: there is no Service default/gone in the manifests"},
		{"a ref that needs a cluster", triggerYAML("a", "main", "subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: s}}"),
			"m/a.yaml: Trigger default/a: the subscriber cannot be used: Service default/s of serving.knative.dev/v1 has no address without a cluster: " +
				"a ref can name a Service, Broker, Channel or LeatChannel"},
		{"no dead letter sink", triggerYAML("a", "main", "subscriber: {uri: http://x}\ndelivery: {deadLetterSink: "+refTo(kindBroker, "gone")+"}"),
			"m/a.yaml: Trigger default/a: the dead letter sink cannot be used: there is no Broker default/gone in the manifests"},
		{"a Subscription's reply", channelYAML("c", "{}") + subscriptionYAML("s", kindChannel, "c", "subscriber: {uri: http://x}\nreply: "+refTo(kindChannel, "gone")),
			"m/a.yaml: Subscription default/s: its references cannot be resolved: spec.reply: there is no Channel default/gone in the manifests"},
		{"a channel's annotation", "apiVersion: messaging.knative.dev/v1\nkind: Channel\nmetadata: {name: c, annotations: {leat.dev/retention: long}}\n",
			`m/a.yaml: Channel default/c: annotation leat.dev/retention is "long": it is neither a Go duration such as 48h nor an ISO-8601 one such as P2D; ` +
				"records that every route has settled are not kept"},
		{"a Channel and a LeatChannel", leatChannelYAML("c", "{}") + channelYAML("c", "{}"),
			"m/a.yaml: Channel default/c: LeatChannel default/c in m/a.yaml is the same channel; that one is used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// There is always a Broker, so that an empty table is not a problem of its own.
			got := problems(one(t, main+"---\n"+tt.data))
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("the problems are\n%q\nwant\n%q", got, tt.want)
			}
		})
	}
}

func TestWhatAnExportedManifestHasDoesNoHarm(t *testing.T) {
	table := one(t, brokerYAML("main")+`---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: a
  uid: 11111111-2222-3333-4444-555555555555
  resourceVersion: "7"
  creationTimestamp: null
  deletionTimestamp: "2026-01-01T00:00:00Z"
spec:
  broker: main
  subscriber: {uri: http://here}
status: {subscriberUri: http://elsewhere, somethingNew: 1}
`)
	if p := problems(table); len(p) != 0 {
		t.Fatal(p)
	}
	r := table.Streams[routing.StreamName{Kind: routing.Broker, Namespace: "default", Name: "main"}].Routes[0]
	if r.ID != "trigger/default/a" || r.Subscriber.URL != "http://here" {
		t.Errorf("the route is %s to %s", r.ID, r.Subscriber.URL)
	}
}

func TestResolve(t *testing.T) {
	objects := serviceYAML("plain", "externalName: svc.example.org.") +
		serviceYAML("eighty", "externalName: localhost\nports: [{port: 80}, {port: 9}]") +
		serviceYAML("ported", "externalName: 127.0.0.1\nports: [{port: 9001}]") +
		serviceYAML("tls", "externalName: localhost\nports: [{port: 443}]") +
		serviceYAML("named", "externalName: localhost\nports: [{port: 8443, name: https}]") +
		brokerYAML("main") + brokerYAML("other") + channelYAML("jobs", "{}") + leatChannelYAML("raw", "{}")
	local := func(kind routing.Kind, name string) *routing.StreamName {
		return &routing.StreamName{Kind: kind, Namespace: "default", Name: name}
	}
	tests := []struct {
		subscriber string
		url        string
		local      *routing.StreamName
	}{
		{"{uri: \"https://example.org/x?y=1\"}", "https://example.org/x?y=1", nil},
		{refTo(kindService, "plain"), "http://svc.example.org", nil},
		{refTo(kindService, "eighty"), "http://localhost", nil},
		{refTo(kindService, "ported"), "http://127.0.0.1:9001", nil},
		{refTo(kindService, "tls"), "https://localhost", nil},
		{refTo(kindService, "named"), "https://localhost:8443", nil},
		{"{ref: {apiVersion: v1, kind: Service, name: ported}, uri: /a/b}", "http://127.0.0.1:9001/a/b", nil},
		{"{ref: {apiVersion: v1, kind: Service, name: ported, namespace: default}, uri: a}", "http://127.0.0.1:9001/a", nil},
		{refTo(kindBroker, "other"), "http://127.0.0.1:8080/default/other", local(routing.Broker, "other")},
		{refTo(kindChannel, "jobs"), "http://127.0.0.1:8080/channels/default/jobs", local(routing.Channel, "jobs")},
		{refTo(kindLeatChannel, "jobs"), "http://127.0.0.1:8080/channels/default/jobs", local(routing.Channel, "jobs")},
		{refTo(kindLeatChannel, "raw"), "http://127.0.0.1:8080/channels/default/raw", local(routing.Channel, "raw")},
	}
	for _, tt := range tests {
		t.Run(tt.subscriber, func(t *testing.T) {
			table := one(t, objects+triggerYAML("a", "main", "subscriber: "+tt.subscriber))
			if p := problems(table); len(p) != 0 {
				t.Fatal(p)
			}
			got := table.Streams[*local(routing.Broker, "main")].Routes[0].Subscriber
			if got.URL != tt.url || !reflect.DeepEqual(got.Local, tt.local) {
				t.Errorf("it leads to %s, %v, want %s, %v", got.URL, got.Local, tt.url, tt.local)
			}
		})
	}
}

func TestChannelWithSubscriptions(t *testing.T) {
	table := one(t, `
apiVersion: messaging.knative.dev/v1
kind: Channel
metadata: {name: jobs, annotations: {leat.dev/retention: 1h}}
spec:
  channelTemplate:
    apiVersion: messaging.knative.dev/v1alpha1
    kind: LeatChannel
    spec: {delivery: {retry: 1, format: json}}
  delivery: {retry: 2, timeout: PT5S, retryAfterMax: PT1M, format: json, deadLetterSink: {uri: http://dead}}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: b, annotations: {leat.dev/max-in-flight: "3"}}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: Channel, name: jobs}
  subscriber: {uri: http://b}
  reply: {ref: {apiVersion: messaging.knative.dev/v1, kind: Channel, name: jobs}}
`+subscriptionYAML("a", kindLeatChannel, "jobs", "subscriber: {uri: http://a}\ndelivery: {retry: 3, deadLetterSink: {uri: http://own}}"))
	if p := problems(table); len(p) != 0 {
		t.Fatal(p)
	}
	name := routing.StreamName{Kind: routing.Channel, Namespace: "default", Name: "jobs"}
	stream := table.Streams[name]
	if stream.Retention != time.Hour || len(stream.Routes) != 2 {
		t.Fatalf("the stream is %+v", stream)
	}
	a, b := stream.Routes[0], stream.Routes[1]
	if a.ID != "subscription/default/a" || a.Delivery.Retry != 3 || a.Delivery.Timeout != 0 || a.Delivery.DeadLetterSink.URL != "http://own" {
		t.Errorf("a Subscription with delivery options is %+v", a)
	}
	minute := time.Minute
	want := routing.Delivery{
		Retry: 2, Backoff: routing.BackoffExponential, BackoffDelay: 200 * time.Millisecond, Timeout: 5 * time.Second,
		RetryAfterMax: &minute, Format: routing.FormatJSON, DeadLetterSink: &routing.Destination{URL: "http://dead"},
	}
	if !reflect.DeepEqual(b.Delivery, want) {
		t.Errorf("a Subscription without has %+v, want %+v", b.Delivery, want)
	}
	if b.MaxInFlight != 3 || b.Reply == nil || b.Reply.Local == nil || *b.Reply.Local != name {
		t.Errorf("the route is %+v, its reply %+v", b, b.Reply)
	}
}

func TestSubscriptionWithOnlyAReply(t *testing.T) {
	table := one(t, leatChannelYAML("c", "{}")+subscriptionYAML("s", kindLeatChannel, "c", "reply: {uri: http://x}"))
	if p := problems(table); len(p) != 0 {
		t.Fatal(p)
	}
	routes := table.Streams[routing.StreamName{Kind: routing.Channel, Namespace: "default", Name: "c"}].Routes
	if len(routes) != 1 || routes[0].Subscriber != nil || routes[0].Reply == nil || routes[0].Unresolved != "" {
		t.Errorf("the routes are %+v, want one with a reply and no subscriber", routes)
	}
}
