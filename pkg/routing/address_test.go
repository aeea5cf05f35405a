package routing_test

import (
	"testing"

	"leat.dev/leat/pkg/routing"
)

func TestParsePath(t *testing.T) {
	broker := routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: "orders"}
	channel := routing.StreamName{Kind: routing.Channel, Namespace: "shop", Name: "orders"}
	tests := []struct {
		path string
		want routing.StreamName
		ok   bool
	}{
		{"/shop/orders", broker, true},
		{"/shop/orders/", broker, true},
		{"/channels/shop/orders", channel, true},
		{"/channels/shop", routing.StreamName{Kind: routing.Broker, Namespace: "channels", Name: "shop"}, true},
		{"/brokers/shop/orders", routing.StreamName{}, false},
		{"/channels/a/b/c", routing.StreamName{}, false},
		{"shop/orders", routing.StreamName{}, false},
		{"/shop", routing.StreamName{}, false},
		{"/shop//", routing.StreamName{}, false},
		{"//orders", routing.StreamName{}, false},
		{"/", routing.StreamName{}, false},
		{"", routing.StreamName{}, false},
	}
	for _, tt := range tests {
		got, ok := routing.ParsePath(tt.path)
		if got != tt.want || ok != tt.ok {
			t.Errorf("ParsePath(%q) = %v, %v, want %v, %v", tt.path, got, ok, tt.want, tt.ok)
		}
	}
	for _, name := range []routing.StreamName{broker, channel} {
		if got, ok := routing.ParsePath(name.Path()); !ok || got != name {
			t.Errorf("ParsePath(%q) = %v, %v, want %v", name.Path(), got, ok, name)
		}
	}
}
