package ingress

import (
	"context"
	"errors"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Invariant 8: hops strictly fall.
func TestAdmitCountsHops(t *testing.T) {
	for _, x := range []struct {
		name string
		hops Hops
		ttl  string // of the event, "" for none
		want string // "" is ErrHops
	}{
		{"outside without", FromOutside(), "", "255"},
		{"outside", FromOutside(), "10", "9"},
		{"outside, more than there can be", FromOutside(), "2147483647", "255"},
		{"outside, no number", FromOutside(), "x", "255"},
		{"outside, not 32 bits", FromOutside(), "9999999999", "255"},
		{"outside, last", FromOutside(), "2", "1"},
		{"outside, used up", FromOutside(), "1", ""},
		{"outside, zero", FromOutside(), "0", ""},
		{"outside, negative", FromOutside(), "-2147483648", ""},
		{"inside counts, not the attribute", Left(7), "200", "7"},
		{"inside, last", Left(1), "", "1"},
		{"inside, used up", Left(0), "200", ""},
		{"inside, negative", Left(-1), "", ""},
		{"zero value is outside", Hops{}, "5", "4"},
	} {
		for _, to := range []routing.StreamName{brokerName, channelName} {
			t.Run(x.name+" to a "+string(to.Kind), func(t *testing.T) {
				w := newWorld()
				e := event()
				if x.ttl != "" {
					e.Set("knativebrokerttl", x.ttl)
				}
				err := w.gate.Admit(t.Context(), to, x.hops, e)
				stored := append(w.broker.events(t), w.channel.events(t)...)
				if x.want == "" {
					if !errors.Is(err, ErrHops) || len(stored) > 0 {
						t.Fatalf("got %v and %d events, want ErrHops and none", err, len(stored))
					}
					return
				}
				if err != nil || len(stored) != 1 {
					t.Fatalf("got %v and %d events, want one", err, len(stored))
				}
				if got, _ := stored[0].Get("knativebrokerttl"); got != x.want {
					t.Errorf("has %s hops left, want %s", got, x.want)
				}
				if got, ok := e.Get("knativebrokerttl"); got != x.ttl || ok != (x.ttl != "") {
					t.Errorf("the caller's event was changed to %q", got)
				}
			})
		}
	}
}

func TestAdmitStampsArrival(t *testing.T) {
	w := newWorld()
	before := time.Now()
	if err := w.gate.Admit(t.Context(), brokerName, FromOutside(), event("knativearrivaltime", "2001-01-01T00:00:00Z")); err != nil {
		t.Fatal(err)
	}
	text, _ := w.broker.events(t)[0].Get("knativearrivaltime")
	arrival, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || arrival.Before(before) || arrival.After(time.Now()) {
		t.Errorf("arrival is %s (%v), want now", text, err)
	}
}

func TestAdmitAllOrNothing(t *testing.T) {
	w := newWorld()
	err := w.gate.Admit(t.Context(), brokerName, FromOutside(), event(), event("knativebrokerttl", "1"))
	if !errors.Is(err, ErrHops) || len(w.broker.payloads()) > 0 {
		t.Fatalf("got %v and %d payloads, want ErrHops and none", err, len(w.broker.payloads()))
	}
	err = w.gate.Admit(t.Context(), brokerName, FromOutside(), event("id", "a"), event("id", "b", "type", "u", "partitionkey", "k"))
	got := w.broker.payloads()
	if err != nil || len(got) != 2 || w.broker.calls != 1 {
		t.Fatalf("got %v and %d payloads in %d appends, want 2 in one", err, len(got), w.broker.calls)
	}
	if p := got[0]; p.Type != "t" || p.Source != "/s" || p.Key != "/s" {
		t.Errorf("first payload: %q %q %q", p.Type, p.Source, p.Key)
	}
	if p := got[1]; p.Type != "u" || p.Source != "/s" || p.Key != "k" {
		t.Errorf("second payload: %q %q %q", p.Type, p.Source, p.Key)
	}
	if err := w.gate.Admit(t.Context(), brokerName, FromOutside()); err != nil || w.broker.calls != 1 {
		t.Errorf("no events: %v, %d appends", err, w.broker.calls)
	}
}

func TestAdmitPassesErrorsOn(t *testing.T) {
	w := newWorld()
	for name, want := range map[string]error{"none": ErrNoStream, "full": engine.ErrFull, "closed": engine.ErrClosed} {
		to := routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: name}
		if err := w.gate.Admit(t.Context(), to, FromOutside(), event()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.broker.before = func(ctx context.Context) error { cancel(); return ctx.Err() }
	if err := w.gate.Admit(ctx, brokerName, FromOutside(), event()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSetStreamsReplaces(t *testing.T) {
	w := newWorld()
	w.gate.SetStreams(map[routing.StreamName]engine.Stream{channelName: w.channel}, nil)
	if err := w.gate.Admit(t.Context(), brokerName, FromOutside(), event()); !errors.Is(err, ErrNoStream) {
		t.Errorf("the old stream: %v", err)
	}
	if _, ok := w.gate.Host(channelHost); ok {
		t.Error("the old host is still there")
	}
	if _, ok := NewGate().Lookup(brokerName); ok {
		t.Error("a new gate has streams")
	}
}
