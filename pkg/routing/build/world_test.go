package build_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// A world in a few words: objects in namespace shop, as controllers leave them.

const base = "http://127.0.0.1:8080"

type delivery = eventingduckv1.DeliverySpec

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{}}
}

func uri(s string) *apis.URL {
	u, err := apis.ParseURL(s)
	if err != nil {
		panic(err)
	}
	return u
}

// broker is a Broker of class Leat.
func broker(name string, edits ...func(*eventingv1.Broker)) *eventingv1.Broker {
	b := &eventingv1.Broker{ObjectMeta: meta(name)}
	b.Annotations["eventing.knative.dev/broker.class"] = "Leat"
	for _, edit := range edits {
		edit(b)
	}
	return b
}

// trigger is a Trigger of Broker main with the subscriber http://{name}.
func trigger(name string, edits ...func(*eventingv1.Trigger)) *eventingv1.Trigger {
	t := &eventingv1.Trigger{ObjectMeta: meta(name)}
	t.Spec.Broker = "main"
	t.Status.SubscriberURI = uri("http://" + name)
	for _, edit := range edits {
		edit(t)
	}
	return t
}

func channel(name string, subscribers ...eventingduckv1.SubscriberSpec) *v1alpha1.LeatChannel {
	c := &v1alpha1.LeatChannel{ObjectMeta: meta(name)}
	c.Spec.Subscribers = subscribers
	return c
}

// subscriber has the uid uid-{name} and the URI http://{name}.
func subscriber(name string, edits ...func(*eventingduckv1.SubscriberSpec)) eventingduckv1.SubscriberSpec {
	s := eventingduckv1.SubscriberSpec{
		Name: ptr.To(name), UID: types.UID("uid-" + name), SubscriberURI: uri("http://" + name),
	}
	for _, edit := range edits {
		edit(&s)
	}
	return s
}

// subscription is the object of subscriber(name).
func subscription(name string, edits ...func(*messagingv1.Subscription)) *messagingv1.Subscription {
	s := &messagingv1.Subscription{ObjectMeta: meta(name)}
	s.UID = types.UID("uid-" + name)
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// sinkTo names a dead letter sink in a spec.
func sinkTo(name string) *duckv1.Destination {
	return &duckv1.Destination{Ref: &duckv1.KReference{APIVersion: "v1", Kind: "Service", Name: name}}
}

func resolvedSink(s string) eventingduckv1.DeliveryStatus {
	return eventingduckv1.DeliveryStatus{DeadLetterSinkURI: uri(s)}
}

// streams builds and fails the test on problems other than the ones named, as
// "Object: reason".
func streams(t *testing.T, in build.Input, problems ...string) map[routing.StreamName]*routing.Stream {
	t.Helper()
	got, list := build.Streams(in, build.Options{Addresses: build.Addresses(base)})
	for i, p := range list {
		if i >= len(problems) || p.String() != problems[i] {
			t.Errorf("problem %d is %q", i, p)
		}
	}
	if len(list) != len(problems) {
		t.Errorf("%d problems, want %q", len(list), problems)
	}
	return got
}

func brokerName(name string) routing.StreamName {
	return routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: name}
}

func channelName(name string) routing.StreamName {
	return routing.StreamName{Kind: routing.Channel, Namespace: "shop", Name: name}
}

// onlyRoute is the one route of a stream.
func onlyRoute(t *testing.T, all map[routing.StreamName]*routing.Stream, name routing.StreamName) *routing.Route {
	t.Helper()
	if all[name] == nil || len(all[name].Routes) != 1 {
		t.Fatalf("%s has not one route: %+v", name, all[name])
	}
	return all[name].Routes[0]
}

// problemsOf are the problems of objects: name, problems separated by |, name,
// problems and so on.
func problemsOf(namesAndProblems ...string) []string {
	var list []string
	for i := 0; i < len(namesAndProblems); i += 2 {
		for _, p := range strings.Split(namesAndProblems[i+1], "|") {
			if p != "" {
				list = append(list, namesAndProblems[i]+": "+p)
			}
		}
	}
	slices.Sort(list)
	return list
}
