package dispatch

import (
	"errors"
	"testing"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/routing"
)

func TestDecide(t *testing.T) {
	policy := routing.Delivery{Retry: 3, Backoff: routing.BackoffExponential, BackoffDelay: time.Second}
	never := routing.Delivery{Backoff: routing.BackoffExponential, BackoffDelay: time.Second}
	reply := &cloudevent.Event{}
	for _, tc := range []struct {
		name    string
		policy  routing.Delivery
		attempt int
		outcome deliver.Outcome
		want    decision
	}{
		{"accepted", policy, 0, deliver.Outcome{Status: 202}, decision{do: ack}},
		{"accepted late", policy, 3, deliver.Outcome{Status: 200}, decision{do: ack}},
		{"replied", policy, 0, deliver.Outcome{Status: 200, Reply: reply}, decision{do: forward}},
		{"first failure", policy, 0, deliver.Outcome{Status: 503}, decision{retry, time.Second}},
		{"second failure", policy, 1, deliver.Outcome{Status: 503}, decision{retry, 2 * time.Second}},
		{"no answer", policy, 2, deliver.Outcome{Err: errors.New("refused")}, decision{retry, 4 * time.Second}},
		{"asks for time", policy, 0, deliver.Outcome{Status: 429, RetryAfter: time.Minute}, decision{retry, time.Minute}},
		{"reply unreadable", policy, 0, deliver.Outcome{Status: 200, ReplyErr: errors.New("no event")}, decision{retry, time.Second}},
		{"retries used up", policy, 3, deliver.Outcome{Status: 503}, decision{do: bury}},
		{"no retries", never, 0, deliver.Outcome{Status: 503}, decision{do: bury}},
		{"rejected", policy, 0, deliver.Outcome{Status: 400}, decision{do: bury}},
		{"redirected", policy, 0, deliver.Outcome{Status: 302}, decision{do: bury}},
	} {
		if got := decide(tc.policy, tc.attempt, tc.outcome, 0); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestSinkDelay(t *testing.T) {
	for _, tc := range []struct {
		unit  time.Duration
		tries int
		want  time.Duration
	}{
		{0, 0, time.Second},
		{time.Millisecond, 0, time.Second},
		{2 * time.Second, 0, 2 * time.Second},
		{time.Second, 3, 8 * time.Second},
		{time.Second, 1000, maxSinkDelay},
	} {
		policy := routing.Delivery{Backoff: routing.BackoffExponential, BackoffDelay: tc.unit}
		if got := sinkDelay(policy, tc.tries, deliver.Outcome{}, 0); got != tc.want {
			t.Errorf("after %d tries of %v: %v, want %v", tc.tries, tc.unit, got, tc.want)
		}
	}
	linear := routing.Delivery{Backoff: routing.BackoffLinear}
	if got := sinkDelay(linear, 0, deliver.Outcome{}, 0); got != minSinkDelay {
		t.Errorf("a linear policy waits %v at first, want %v: a sink must not be tried in a loop", got, minSinkDelay)
	}
}

func TestHoldDelay(t *testing.T) {
	for since, want := range map[time.Duration]time.Duration{0: minHold, time.Second: time.Second, time.Hour: maxHold} {
		if got := holdDelay(since); got != want {
			t.Errorf("full for %v: held %v, want %v", since, got, want)
		}
	}
}
