package spec

import (
	"fmt"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

func TestChangesToARouteTakeEffect(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		before, after := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", before.URL))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		before.WaitEvent(t, "1")
		l.Change("manifests.yaml", h.stream("hub"), h.route("all", "hub", after.URL))
		harness.Send(t, h.url(l, "hub"), harness.Event("2"))
		l.WaitSettled()
		wantIDs(t, "the old subscriber", before.IDs(), "1")
		wantIDs(t, "the new subscriber", after.IDs(), "2")
	})
}

func TestFilterOfATriggerCanChange(t *testing.T) {
	sub := harness.NewSubscriber(t, nil)
	l := harness.Start(t, harness.Broker("hub"), harness.Trigger("some", "hub", sub.URL, onlyQuestions))
	harness.Send(t, l.BrokerURL("hub"), question("q-1"), reply("a-1"))
	l.WaitSettled()
	l.Change("manifests.yaml", harness.Broker("hub"), harness.Trigger("some", "hub", sub.URL, onlyAnswers))
	harness.Send(t, l.BrokerURL("hub"), question("q-2"), reply("a-2"))
	l.WaitSettled()
	wantIDs(t, "the subscriber", sub.IDs(), "q-1", "a-2")
}

// From the moment that the route is shown it gets every event.
func TestNewRouteGetsAllLaterEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		early, late := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("early", "hub", early.URL))
		var want []string
		for i := range 3 {
			harness.Send(t, h.url(l, "hub"), harness.Event(fmt.Sprintf("before-%d", i)))
		}
		l.Apply("late.yaml", h.route("late", "hub", late.URL))
		l.WaitRoute("late")
		for i := range 20 {
			id := fmt.Sprintf("after-%d", i)
			want = append(want, id)
			harness.Send(t, h.url(l, "hub"), harness.Event(id))
		}
		l.WaitSettled()
		got := map[string]bool{}
		for _, id := range late.IDs() {
			got[id] = true
		}
		for _, id := range want {
			if !got[id] {
				t.Errorf("the new route did not get %s", id)
			}
		}
	})
}

func TestUnresolvedDestinationIsReported(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		good := harness.NewSubscriber(t, nil)
		lost := strings.Replace(h.route("lost", "hub", "http://placeholder"), `{uri: "http://placeholder"}`,
			"{ref: {apiVersion: v1, kind: Service, name: nobody}}", 1)
		noSink := h.route("no-sink", "hub", good.URL,
			"delivery: {deadLetterSink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: no-broker}}}")
		l := harness.Start(t, h.stream("hub"), h.route("good", "hub", good.URL), lost, noSink)
		l.WaitProblem("test/lost", "nobody")
		l.WaitProblem("test/no-sink", "no-broker")
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		good.WaitEvent(t, "1")
	})
}

func TestMissingStreamIsReported(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		good, early := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("good", "hub", good.URL), h.route("early", "later", early.URL))
		l.WaitProblem("test/early", "later")
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		good.WaitEvent(t, "1")

		l.Apply("later.yaml", h.stream("later"))
		l.WaitRoute("early")
		harness.Send(t, h.url(l, "later"), harness.Event("2"))
		l.WaitSettled()
		wantIDs(t, "the route that was there before its stream", early.IDs(), "2")
	})
}

func TestSubscriptionNeedsASubscriberOrAReply(t *testing.T) {
	good := harness.NewSubscriber(t, nil)
	l := harness.Start(t, harness.Channel("hub"),
		harness.Subscription("good", "hub", good.URL), harness.Subscription("empty", "hub", ""))
	l.WaitProblem("test/empty", "subscriber")
	harness.Send(t, l.ChannelURL("hub"), harness.Event("1"))
	good.WaitEvent(t, "1")
}

// service is a Service that leads to the subscriber, as far as a machine
// without a cluster has one.
func service(name string, s *harness.Subscriber) string {
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {namespace: %s, name: %s}\nspec: {type: ExternalName, externalName: %s, ports: [{port: %s}]}",
		harness.Namespace, name, host, port)
}

func TestDestinationReferencesAreResolved(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		to := func(name, dest string) string {
			return strings.Replace(h.route(name, "hub", "http://placeholder"), `{uri: "http://placeholder"}`, dest, 1)
		}
		l := harness.Start(t, h.stream("hub"), service("svc", sub),
			to("service", "{ref: {apiVersion: v1, kind: Service, name: svc}}"),
			to("service-path", "{ref: {apiVersion: v1, kind: Service, name: svc}, uri: '/update?x=1'}"),
			to("broker", "{ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: next-broker}}"),
			to("channel", "{ref: {apiVersion: messaging.knative.dev/v1alpha1, kind: LeatChannel, name: next-channel}}"),
			harness.Broker("next-broker"), harness.Trigger("behind-broker", "next-broker", sub.URL+"/broker"),
			harness.Channel("next-channel"), harness.Subscription("behind-channel", "next-channel", sub.URL+"/channel"))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		sub.Wait(t, 4)
		l.WaitSettled()
		var got []string
		for _, r := range sub.Requests() {
			got = append(got, r.Target)
		}
		wantIDs(t, "the destination (by path)", got, "/", "/update?x=1", "/broker", "/channel")
	})
}
