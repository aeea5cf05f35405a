package dispatch

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/routing"
)

// Sender makes one attempt over HTTP; *deliver.Client is one.
type Sender interface {
	Send(ctx context.Context, to *routing.Destination, e *cloudevent.Event, o deliver.SendOptions) deliver.Outcome
}

// Admitter is the gate by which an event enters a stream of this data plane.
type Admitter interface {
	// Admit stores the event and returns when it is durable. hops is what it
	// may have left, at least 1.
	Admit(ctx context.Context, to routing.StreamName, hops int, e cloudevent.Event) error
}

// hopsUsedUp is the answer to an event that has no hops left.
const hopsUsedUp = "the event went round too often: its knativebrokerttl is used up"

// sending is one event on its way to one destination.
type sending struct {
	to     *routing.Destination
	event  cloudevent.Event
	hops   int
	prefer bool // a reply is wanted
}

// courier makes attempts. It settles nothing.
type courier struct {
	sender Sender
	gate   Admitter
	// status is the HTTP status that ingress gives for an error of the gate.
	status func(error) int
}

// send makes one attempt. A destination in this data plane is reached through
// the gate, with the outcome that ingress would have answered.
func (c *courier) send(ctx context.Context, r *routing.Route, s sending) deliver.Outcome {
	if s.to.Local != nil {
		return c.admit(ctx, s)
	}
	if !showsHops(r, &s.event) {
		s.event.Delete(ttlAttribute)
	}
	return c.sender.Send(ctx, s.to, &s.event, deliver.SendOptions{
		Format:        r.Delivery.Format,
		Timeout:       r.Delivery.Timeout,
		PreferReply:   s.prefer,
		AllowNonEvent: r.Kind != "Trigger",
		Namespace:     r.Namespace,
	})
}

func (c *courier) admit(ctx context.Context, s sending) deliver.Outcome {
	start := time.Now()
	if s.hops < 1 {
		return deliver.Outcome{Status: http.StatusBadRequest, Body: []byte(hopsUsedUp)}
	}
	err := c.gate.Admit(ctx, *s.to.Local, s.hops, s.event)
	o := deliver.Outcome{Status: http.StatusAccepted, Took: time.Since(start)}
	if err != nil {
		o.Status, o.Body = c.status(err), []byte(err.Error())
	}
	return o
}

// result is what an attempt came to.
type result struct {
	decision
	// failure is set unless the event was accepted.
	failure failure
	// What became of the reply.
	replied, dropped, hopsUsedUp bool
}

// try makes one attempt at the subscriber and, if it replies, at the reply's
// destination. The reply is safe when the decision is ack.
func (c *courier) try(ctx context.Context, b *bound, attempt int, e cloudevent.Event, started time.Time) result {
	s := sending{to: b.first, event: e, hops: hopsAfter(&e), prefer: b.route.Subscriber != nil}
	sent := time.Now()
	o := c.send(ctx, b.route, s)
	b.observe.Attempted(e.Type(), o.Status, sent.Sub(started), o.Took)
	if b.second == nil {
		o.ReplyErr = nil // of a reply that would be dropped
	}

	res := c.judge(ctx, b, attempt, s.to, o)
	res.hopsUsedUp = s.to.Local != nil && s.hops < 1
	if res.do == forward {
		return c.forward(ctx, b, attempt, s.hops, o.Reply)
	}
	return res
}

// judge decides on an outcome, with the two cases that are not the
// destination's doing: the attempt was cut off, and our own store had no room.
func (c *courier) judge(ctx context.Context, b *bound, attempt int, to *routing.Destination, o deliver.Outcome) result {
	verdict := deliver.Classify(o)
	if verdict != deliver.Delivered && ctx.Err() != nil {
		return result{decision: decision{do: release}}
	}
	res := result{}
	if verdict != deliver.Delivered {
		res.failure = newFailure(to.URL, o)
	}
	if verdict == deliver.Retryable && to.Local != nil {
		res.do = hold
		return res
	}
	res.decision = decide(b.route.Delivery, attempt, o, rand.Float64())
	return res
}

// Bounds of what a reply is offered again without asking the subscriber once
// more. They bound how long the delivery keeps its slot.
const (
	maxReplyTries = 3
	maxReplyWait  = 2 * time.Second
)

// sendReply makes an attempt at the reply's destination and, as long as the
// route's retries and the bounds above allow it, some more: a subscriber need
// not do its work again because somebody else was away for a moment. spent says
// that these were all the route's retries.
func (c *courier) sendReply(ctx context.Context, b *bound, s sending) (o deliver.Outcome, spent bool) {
	for try := 0; ; try++ {
		o = c.send(ctx, b.route, s)
		o.Reply, o.ReplyErr = nil, nil
		if s.to.Local != nil || deliver.Classify(o) != deliver.Retryable {
			return o, false
		}
		if try >= b.route.Delivery.Retry {
			return o, true
		}
		wait := deliver.Delay(b.route.Delivery, try, o, rand.Float64())
		if try >= maxReplyTries || wait > maxReplyWait {
			return o, false
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return o, false
		}
	}
}

// forward hands a reply on. Control-plane spec, Event Delivery: if that fails
// with a retryable error, also after the tries of sendReply, the entire delivery
// is retried; a reply that cannot be delivered is a dead letter.
func (c *courier) forward(ctx context.Context, b *bound, attempt, hops int, reply *cloudevent.Event) result {
	if b.second == nil {
		return result{dropped: true}
	}
	if b.second.Local != nil && hops < 1 {
		return result{dropped: true, hopsUsedUp: true}
	}
	o, spent := c.sendReply(ctx, b, sending{to: b.second, event: *reply, hops: hops})
	if spent {
		attempt = max(attempt, b.route.Delivery.Retry)
	}
	res := c.judge(ctx, b, attempt, b.second, o)
	res.replied = res.do == ack
	if res.do == bury {
		res.failure.event = reply
	}
	return res
}
