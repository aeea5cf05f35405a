package kubesource_test

import (
	"strings"
	"testing"

	"knative.dev/pkg/kmeta"

	"leat.dev/leat/pkg/routing"
)

// What leads to a stream of the same data plane goes there without HTTP.
func TestLocalDestinations(t *testing.T) {
	long := strings.Repeat("long-", 11) + "name"
	longHost := kmeta.ChildName(long, "-kn-channel")
	named := func(kind routing.Kind, name string) routing.StreamName {
		return routing.StreamName{Kind: kind, Namespace: "shop", Name: name}
	}
	none := routing.StreamName{}
	tests := map[string]routing.StreamName{
		"http://leat-ingress.knative-eventing.svc.cluster.local/shop/other":         named(routing.Broker, "other"),
		"http://leat-ingress.knative-eventing.svc.cluster.local:80/shop/other":      named(routing.Broker, "other"),
		"http://leat-ingress.knative-eventing.svc/shop/other":                       named(routing.Broker, "other"),
		"http://leat-ingress.knative-eventing/shop/other/":                          named(routing.Broker, "other"),
		"http://Leat-Ingress.knative-eventing.svc.cluster.local./shop/other":        named(routing.Broker, "other"),
		"http://leat-ingress.knative-eventing.svc.cluster.local/channels/shop/jobs": jobs,
		"http://jobs-kn-channel.shop.svc.cluster.local":                             jobs,
		"http://jobs-kn-channel.shop.svc.cluster.local/":                            jobs,
		"http://jobs-kn-channel.shop.svc.cluster.local:80":                          jobs,
		"http://jobs-kn-channel.shop.svc":                                           jobs,
		"http://jobs-kn-channel.shop":                                               jobs,
		"http://" + longHost + ".shop.svc.cluster.local":                            named(routing.Channel, long),

		"http://leat-ingress.knative-eventing.svc.cluster.local/shop/absent":       none,
		"http://leat-ingress.knative-eventing.svc.cluster.local/shop/foreign":      none,
		"http://leat-ingress.knative-eventing.svc.cluster.local:8080/shop/other":   none,
		"https://leat-ingress.knative-eventing.svc.cluster.local/shop/other":       none,
		"http://leat-ingress.elsewhere.svc.cluster.local/shop/other":               none,
		"http://leat-ingress.knative-eventing.svc.cluster.local/shop/other?a=b":    none,
		"http://user@leat-ingress.knative-eventing.svc.cluster.local/shop/other":   none,
		"http://leat-ingress.knative-eventing.svc.cluster.local/shop/other/deeper": none,
		"http://leat-ingress/shop/other":                                           none,
		"http://jobs-kn-channel.shop.svc.cluster.local/path":                       none,
		"http://jobs-kn-channel.shop.svc.cluster.local:8080":                       none,
		"https://jobs-kn-channel.shop.svc.cluster.local":                           none,
		"http://jobs-kn-channel.elsewhere.svc.cluster.local":                       none,
		"http://jobs-kn-channel.shop.svc.example.org":                              none,
		"http://absent-kn-channel.shop.svc.cluster.local":                          none,
	}
	for url, local := range tests {
		t.Run(url, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.brokers.Put(broker("orders", "Leat"), broker("other", "Leat"), broker("foreign", "MTChannelBasedBroker"))
				w.channels.Put(channel("jobs"), channel(long))
				w.triggers.Put(trigger("billing", "orders", url))
				w.run()
				dest := w.table().Streams[orders].Routes[0].Subscriber
				switch {
				case local == none && dest.Local != nil:
					t.Errorf("it leads to %s, want to none", dest.Local)
				case local != none && (dest.Local == nil || *dest.Local != local):
					t.Errorf("it leads to %v, want to %s", dest.Local, local)
				}
			})
		})
	}
}

// Replies and dead letters as well, and a destination that comes later.
func TestLocalRepliesAndDeadLetters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := channel("jobs", "worker")
		c.Spec.Subscribers[0].ReplyURI = uri(baseURL + "/shop/orders")
		c.Spec.Subscribers[0].Delivery = sinkAt("http://letters-kn-channel.shop.svc.cluster.local")
		w.channels.Put(c)
		w.run()
		r := w.table().Streams[jobs].Routes[0]
		if r.Reply.Local != nil || r.Delivery.DeadLetterSink.Local != nil {
			t.Error("a destination that is not there is local")
		}
		rest()
		w.brokers.Put(broker("orders", "Leat"))
		if r := w.table().Streams[jobs].Routes[0]; r.Reply.Local == nil || *r.Reply.Local != orders {
			t.Errorf("the reply goes to %v", r.Reply.Local)
		}
		rest()
		w.channels.Put(channel("letters"))
		if r := w.table().Streams[jobs].Routes[0]; r.Delivery.DeadLetterSink.Local == nil || r.Delivery.DeadLetterSink.Local.Name != "letters" {
			t.Errorf("dead letters go to %v", r.Delivery.DeadLetterSink.Local)
		}
	})
}
