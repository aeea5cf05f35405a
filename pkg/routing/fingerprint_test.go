package routing_test

import (
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

func fingerprinted() *routing.Route {
	ignored := time.Duration(0)
	return &routing.Route{
		ID: "trigger/shop/a/1", Kind: "Trigger", Namespace: "shop", Name: "a",
		Stream:     routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: "orders"},
		Filter:     routing.Filter{Attributes: map[string]string{"type": "a", "source": "b", "x": ""}},
		Subscriber: &routing.Destination{URL: "http://a.example"},
		Delivery:   routing.Delivery{Retry: 3, Backoff: routing.BackoffLinear, RetryAfterMax: &ignored},
	}
}

func TestFingerprint(t *testing.T) {
	want := fingerprinted().Fingerprint()
	for range 20 { // maps have no order
		if got := fingerprinted().Fingerprint(); got != want {
			t.Fatalf("equal routes have the fingerprints %s and %s", want, got)
		}
	}
	local := fingerprinted()
	local.Subscriber.Local = &local.Stream
	if local.Fingerprint() != want {
		t.Error("the way to a destination changes the fingerprint")
	}
	for name, edit := range map[string]func(*routing.Route){
		"filter":           func(r *routing.Route) { r.Filter.Attributes["x"] = "y" },
		"filters":          func(r *routing.Route) { r.Filter.Filters = []routing.Expr{{CESQL: "true"}} },
		"subscriber":       func(r *routing.Route) { r.Subscriber.URL += "/" },
		"certificates":     func(r *routing.Route) { r.Subscriber.CACerts = "pem" },
		"retry":            func(r *routing.Route) { r.Delivery.Retry++ },
		"no retryAfterMax": func(r *routing.Route) { r.Delivery.RetryAfterMax = nil },
		"dead letter sink": func(r *routing.Route) { r.Delivery.DeadLetterSink = &routing.Destination{URL: "http://d"} },
		"order":            func(r *routing.Route) { r.Ordered = true },
		"unresolved":       func(r *routing.Route) { r.Unresolved = "no such Service" },
	} {
		r := fingerprinted()
		edit(r)
		if r.Fingerprint() == want {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
}

// A change of this text means that a controller of the last release and a data
// plane of this one disagree during an upgrade about every Trigger.
func TestFingerprintOfTheLastRelease(t *testing.T) {
	if got, want := fingerprinted().Fingerprint(), "c30ee1d9e6ef951132e5adae"; got != want {
		t.Errorf("the fingerprint is %s, it was %s: a new field of Route needs json:\",omitzero\"", got, want)
	}
}
