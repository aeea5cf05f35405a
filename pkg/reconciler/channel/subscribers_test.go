package channel

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/reconciler/dataplane/dataplanetest"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
	"leat.dev/leat/pkg/served"
)

type spec = eventingduckv1.SubscriberSpec

func generationOf(g int64) func(*spec) { return func(s *spec) { s.Generation = g } }

// plane serves the channel, and has a verdict on each of its routes.
func plane(verdict func(r *routing.Route) served.Verdict) *dataplanetest.Plane {
	p := dataplanetest.All(served.Serving, "")
	p.SayOfRoutes(func(_ string, r *routing.Route) served.Verdict { return verdict(r) })
	return p
}

func always(state served.State, reason string) *dataplanetest.Plane {
	return plane(func(*routing.Route) served.Verdict { return served.Verdict{State: state, Reason: reason} })
}

func TestSubscribers(t *testing.T) {
	const notYet = "The data plane has not been asked yet."
	world := func(c *v1alpha1.LeatChannel) []runtime.Object {
		return objects(c, alias(), subscription("a"), subscription("b"))
	}
	two := func(edits ...func(*v1alpha1.LeatChannel)) *v1alpha1.LeatChannel {
		return channel(append([]func(*v1alpha1.LeatChannel){subscribed("b"), subscribed("a", generationOf(3))}, edits...)...)
	}
	notB := plane(func(r *routing.Route) served.Verdict {
		if r.Name == "b" {
			return served.Verdict{State: served.Pending, Reason: "not yet"}
		}
		return served.Verdict{State: served.Serving}
	})
	dead, resolved := sinkAt(duckv1.Destination{URI: apis.HTTP("dead.example")}), rt.Condition("DeadLetterSinkResolved", "True", "", "")
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "are told of in the order of the spec",
			Objects:           world(two()),
			WantStatusUpdates: rt.StatusUpdate(two(reconciled())),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "are as they were",
			Objects: world(two(reconciled())),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "have all gone",
			Objects:           world(channel(func(c *v1alpha1.LeatChannel) { c.Status = two(reconciled()).Status })),
			WantStatusUpdates: rt.StatusUpdate(channel(reconciled())),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "are known before their Subscriptions",
			Objects:           objects(two(), alias()),
			WantStatusUpdates: rt.StatusUpdate(two(reconciled())),
		}}},
		{plane: notB, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "one by one; the channel is ready",
			Objects:           world(two()),
			WantStatusUpdates: rt.StatusUpdate(two(reconciled(), says(0, "Unknown", "not yet"))),
		}}},
		{plane: always(served.Away, "no answer"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "of a data plane that is away",
			Objects:           world(two(reconciled())),
			WantStatusUpdates: rt.StatusUpdate(two(reconciled(), says(0, "Unknown", "no answer"), says(1, "Unknown", "no answer"))),
		}}},
		{plane: always(served.Failed, "100% wrong"), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that cannot be served as they are",
			Objects:           world(two(reconciled())),
			WantStatusUpdates: rt.StatusUpdate(two(reconciled(), says(0, "False", "100% wrong"), says(1, "False", "100% wrong"))),
			WantEvents: []string{
				"Warning SubscriberNotServed Subscriber b: 100% wrong", "Warning SubscriberNotServed Subscriber a: 100% wrong",
			},
		}}},
		{plane: always(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "nobody has been asked about, and which are as they were",
			Objects: world(two(reconciled())),
		}}},
		{plane: always(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "nobody has been asked about, and which are new",
			Objects:           world(two()),
			WantStatusUpdates: rt.StatusUpdate(two(reconciled(), says(0, "Unknown", notYet), says(1, "Unknown", notYet))),
		}}},
		{plane: always(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "nobody has been asked about, of a channel that has changed",
			Objects: world(two(reconciled(), generation(2))),
			WantStatusUpdates: rt.StatusUpdate(two(generation(2), reconciled(),
				says(0, "Unknown", notYet), says(1, "Unknown", notYet))),
		}}},
		{plane: always(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "nobody has been asked about, one of which has changed",
			Objects: world(two(reconciled(), func(c *v1alpha1.LeatChannel) {
				c.Status.Subscribers[1].ObservedGeneration = 2
			})),
			WantStatusUpdates: rt.StatusUpdate(two(reconciled(), says(1, "Unknown", notYet))),
		}}},
		{plane: always(served.Unknown, ""), Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "nobody has been asked about, of a channel whose dead letter sink has moved",
			Objects: world(two(dead, reconciled(resolved), sinkResolved("http://earlier.example", "", ""))),
			WantStatusUpdates: rt.StatusUpdate(two(dead, reconciled(resolved), sinkResolved("http://dead.example", "", ""),
				says(0, "Unknown", notYet), says(1, "Unknown", notYet))),
		}}},
	} {
		r.run(t)
	}
}

func TestMistakesInSubscribers(t *testing.T) {
	const (
		nobody = "It has neither a uid nor a name, so its place in the channel could not be kept."
		twice  = "It is in spec.subscribers twice; the first one is used."
		path   = `Nothing is delivered: the subscriber cannot be used: its URI is "/a", but must be absolute, with http or https and a host`
		sink   = "Nothing is delivered: the dead letter sink cannot be used: failed to get object shop/dead: services \"dead\" not found"
		gone   = `failed to get object shop/dead: services "dead" not found`
	)
	nameless := subscribed("", func(s *spec) { s.UID, s.SubscriberURI = "", apis.HTTP("a") })
	unusable := subscribed("a", func(s *spec) { s.SubscriberURI = &apis.URL{Path: "/a"} })
	dead := sinkAt(duckv1.Destination{Ref: &duckv1.KReference{APIVersion: "v1", Kind: "Service", Name: "dead"}})
	for _, r := range []row{
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that cannot be told apart",
			Objects:           objects(channel(nameless), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(nameless, reconciled(rt.Condition("DispatcherReady", "True", "OptionIgnored", anonymous)), says(0, "False", nobody))),
			WantEvents:        []string{"Warning OptionIgnored " + anonymous, "Warning SubscriberNotServed Subscriber : " + nobody},
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that are there twice",
			Objects:           objects(channel(subscribed("a"), subscribed("a")), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(subscribed("a"), subscribed("a"), reconciled(), says(0, "True", duplicate), says(1, "False", twice))),
			WantEvents:        []string{"Warning OptionIgnored Subscriber a: " + duplicate, "Warning SubscriberNotServed Subscriber a: " + twice},
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "that lead nowhere",
			Objects:           objects(channel(unusable, subscribed("b")), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(unusable, subscribed("b"), reconciled(), says(0, "False", path))),
			WantEvents:        []string{"Warning SubscriberNotServed Subscriber a: " + path},
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "with options that are not used as they are written",
			Objects:           objects(channel(subscribed("a")), alias(), subscription("a", "leat.dev/max-in-flight", "lots")),
			WantStatusUpdates: rt.StatusUpdate(channel(subscribed("a"), reconciled(), says(0, "True", lots))),
			WantEvents:        []string{"Warning OptionIgnored Subscriber a: " + lots},
		}}},
		{Row: rt.Row{Unsettled: true, TableRow: rtesting.TableRow{
			Name:    "whose channel's dead letter sink does not exist",
			Objects: objects(channel(dead, subscribed("a")), alias()),
			WantStatusUpdates: rt.StatusUpdate(channel(dead, subscribed("a"),
				failing("DeadLetterSinkResolved", "False", "Unresolved", gone), says(0, "False", sink))),
			WantEvents: []string{"Warning Unresolved " + gone, "Warning SubscriberNotServed Subscriber a: " + sink},
			WantErr:    true,
		}}},
	} {
		r.run(t)
	}
}

const (
	anonymous = "a subscriber in spec.subscribers has neither a uid nor a name, so its progress could not be kept"
	duplicate = "channel/shop/jobs has a subscriber of this name and uid twice; the first one is used"
)

// The data plane reads the status after it is written, and the Subscriptions
// themselves: the routes that are asked about are those that it then builds.
func TestSubscribersRoutesAreThoseOfTheDataPlane(t *testing.T) {
	edits := []func(*v1alpha1.LeatChannel){
		sinkAt(duckv1.Destination{URI: apis.HTTP("dead.example")}),
		func(c *v1alpha1.LeatChannel) {
			c.Annotations["leat.dev/delivery-order"] = "ordered"
			c.Spec.Delivery.Retry = ptr.To[int32](7)
		},
		subscribed("a"), subscribed("b"), subscribed("c", func(s *spec) { s.UID = "" }),
		subscribed("far", func(s *spec) { s.ReplyURI = apis.HTTP("reply.example") }),
	}
	b := subscription("b")
	b.Spec.Delivery = &eventingduckv1.DeliverySpec{Retry: ptr.To[int32](2), Format: ptr.To(eventingduckv1.DeliveryFormatJson)}
	far := subscription("far", "leat.dev/max-in-flight", "3")
	far.Namespace = "hub"
	subscriptions := []*messagingv1.Subscription{subscription("a", "leat.dev/max-in-flight", "5"), b, subscription("c", "leat.dev/start", "earliest"), far}

	want := channel(append(edits, reconciled(rt.Condition("DeadLetterSinkResolved", "True", "", "")),
		sinkResolved("http://dead.example", "", ""))...)
	streams, problems := build.Streams(build.Input{Channels: []*v1alpha1.LeatChannel{want}, Subscriptions: subscriptions}, build.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	expected := make(map[string]string)
	for _, route := range streams[streamName(want)].Routes {
		expected[route.ID] = route.Fingerprint()
	}
	if len(expected) != 4 {
		t.Fatalf("the data plane has the routes %v", expected)
	}
	asked := dataplanetest.All(served.Serving, "")
	asked.SayOfRoutes(func(uid string, r *routing.Route) served.Verdict {
		if uid != "jobs-uid" || r.Fingerprint() != expected[r.ID] {
			return served.Verdict{State: served.Pending, Reason: "another route"}
		}
		return served.Verdict{State: served.Serving}
	})
	row{plane: asked, Row: rt.Row{TableRow: rtesting.TableRow{
		Name:              "asked",
		Objects:           objects(channel(edits...), alias(), subscriptions[0], b, subscriptions[2], far),
		WantStatusUpdates: rt.StatusUpdate(want),
	}}}.run(t)
}
