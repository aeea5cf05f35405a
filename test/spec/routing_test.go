package spec

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"leat.dev/leat/test/harness"
)

func TestRoutesBelongToTheStreamTheyName(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		one, two := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("one"), h.stream("two"),
			h.route("of-one", "one", one.URL), h.route("of-two", "two", two.URL))
		harness.Send(t, h.url(l, "one"), harness.Event("for-one"))
		harness.Send(t, h.url(l, "two"), harness.Event("for-two"))
		l.WaitSettled()
		wantIDs(t, "the route of one", one.IDs(), "for-one")
		wantIDs(t, "the route of two", two.IDs(), "for-two")
	})
}

func TestEachRouteGetsEachEventOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		manifests := []string{h.stream("hub")}
		subs := []*harness.Subscriber{}
		for i := range 5 {
			subs = append(subs, harness.NewSubscriber(t, nil))
			manifests = append(manifests, h.route("route-"+strconv.Itoa(i), "hub", subs[i].URL))
		}
		l := harness.Start(t, manifests...)
		var want []string
		for i := range 30 {
			want = append(want, strconv.Itoa(i))
			harness.Send(t, h.url(l, "hub"), harness.Event(strconv.Itoa(i)))
		}
		l.WaitSettled()
		for i, sub := range subs {
			wantIDs(t, fmt.Sprintf("route %d", i), sub.IDs(), want...)
		}
	})
}

func TestSameDestinationTwiceIsTwoDeliveries(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("one", "hub", sub.URL), h.route("two", "hub", sub.URL))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		l.WaitSettled()
		wantIDs(t, "the subscriber of both", sub.IDs(), "1", "1")
	})
}

// A channel has no filters and no replies into itself; what names it from
// another namespace is not subscribed to it.
func TestSubscriptionStaysInItsNamespace(t *testing.T) {
	near, far := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
	foreign := harness.InNamespace("elsewhere", harness.Subscription("far", "hub", far.URL))
	l := harness.Start(t, harness.Channel("hub"), harness.Subscription("near", "hub", near.URL), foreign)
	harness.Send(t, l.ChannelURL("hub"), harness.Event("1"))
	l.WaitSettled()
	wantIDs(t, "the Subscription of the namespace", near.IDs(), "1")
	wantIDs(t, "the Subscription of another one", far.IDs())
}

// filters are a Trigger's attributes filters, and of the events below those
// that they select.
var filters = []struct {
	name, attributes string
	selects          []string
}{
	{"exact", "{type: order.created}", []string{"created", "created-eu"}},
	{"case-sensitive", "{type: Order.Created}", nil},
	{"whole-value", "{type: order}", nil},
	{"all-keys", "{type: order.created, region: eu}", []string{"created-eu"}},
	{"all-keys-one-wrong", "{type: order.deleted, region: eu}", nil},
	{"present", `{region: ""}`, []string{"created-eu", "deleted-us"}},
	{"absent", `{nosuchthing: ""}`, nil},
	{"absent-with-value", "{nosuchthing: x}", nil},
	{"every-event", `{type: "", source: ""}`, []string{"created", "created-eu", "deleted-us"}},
	{"by-id", "{id: created}", []string{"created"}},
	{"none", "{}", []string{"created", "created-eu", "deleted-us"}},
}

func TestTriggerFilterSelects(t *testing.T) {
	manifests := []string{harness.Broker("hub")}
	subs := map[string]*harness.Subscriber{}
	for _, f := range filters {
		subs[f.name] = harness.NewSubscriber(t, nil)
		manifests = append(manifests, harness.Trigger(f.name, "hub", subs[f.name].URL, fmt.Sprintf("filter: {attributes: %s}", f.attributes)))
	}
	unfiltered := harness.NewSubscriber(t, nil)
	l := harness.Start(t, append(manifests, harness.Trigger("unfiltered", "hub", unfiltered.URL))...)
	for _, e := range []event.Event{
		harness.Event("created", harness.Type("order.created")),
		harness.Event("created-eu", harness.Type("order.created"), harness.Ext("region", "eu")),
		harness.Event("deleted-us", harness.Type("order.deleted"), harness.Ext("region", "us")),
	} {
		harness.Send(t, l.BrokerURL("hub"), e)
	}
	l.WaitSettled()
	for _, f := range filters {
		wantIDs(t, "filter "+f.name, subs[f.name].IDs(), f.selects...)
	}
	wantIDs(t, "no filter", unfiltered.IDs(), "created", "created-eu", "deleted-us")
}
