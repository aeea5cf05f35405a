package dispatch

import (
	"time"

	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/routing"
)

// action is what becomes of a delivery after an attempt.
type action int

const (
	// ack settles it.
	ack action = iota
	// forward hands the reply on, and what becomes of that decides.
	forward
	// retry parks it for a later attempt.
	retry
	// bury makes its event, or the reply that could not be handed on, a dead
	// letter.
	bury
	// hold keeps it for a moment and then gives it back unattempted: our own
	// store had no room, which is not the subscriber's failure and must not
	// use up its retries.
	hold
	// release gives it back at once: the attempt was cut off.
	release
)

// decision is an action, and for retry the time until the next attempt.
type decision struct {
	do    action
	after time.Duration
}

// decide says what becomes of a delivery after attempt (from 0) at a
// subscriber or a reply destination. rnd is in [0, 1) and spreads the delay.
// Control-plane spec, Event Delivery: a retryable failure is retried up to
// Retry times, then, as one that is not retryable, it is a dead letter.
func decide(policy routing.Delivery, attempt int, o deliver.Outcome, rnd float64) decision {
	switch deliver.Classify(o) {
	case deliver.Delivered:
		if o.Reply != nil {
			return decision{do: forward}
		}
		return decision{do: ack}
	case deliver.Retryable:
		if attempt < policy.Retry {
			return decision{do: retry, after: deliver.Delay(policy, attempt, o, rnd)}
		}
	}
	return decision{do: bury}
}

// A dead letter sink that fails is tried for ever, with these bounds on the
// time between two attempts.
const (
	minSinkDelay = time.Second
	maxSinkDelay = 5 * time.Minute
)

// sinkDelay is the time before a dead letter is offered to the sink again,
// after it was refused tries times before this one.
func sinkDelay(policy routing.Delivery, tries int, o deliver.Outcome, rnd float64) time.Duration {
	policy.BackoffDelay = max(policy.BackoffDelay, minSinkDelay)
	return min(max(deliver.Delay(policy, tries, o, rnd), minSinkDelay), maxSinkDelay)
}

// Our own store having no room is waited out with these bounds.
const (
	minHold = 100 * time.Millisecond
	maxHold = 10 * time.Second
)

// holdDelay is how long a delivery is held when our own store has had no room
// for the time since.
func holdDelay(since time.Duration) time.Duration {
	return min(max(since, minHold), maxHold)
}
