package v1alpha1

import (
	"context"

	"knative.dev/pkg/apis"
)

// Validate says what is wrong with the channel.
func (c *LeatChannel) Validate(ctx context.Context) *apis.FieldError {
	return c.Spec.Validate(apis.WithinParent(ctx, c.ObjectMeta)).ViaField("spec")
}

// Validate says what is wrong with the spec: every subscriber needs somewhere
// to send events to, and delivery options must hold.
func (s *LeatChannelSpec) Validate(ctx context.Context) *apis.FieldError {
	errs := s.Delivery.Validate(ctx).ViaField("delivery")
	for i := range s.Subscribers {
		subscriber := &s.Subscribers[i]
		var fe *apis.FieldError
		if subscriber.SubscriberURI == nil && subscriber.ReplyURI == nil {
			fe = apis.ErrMissingOneOf("replyUri", "subscriberUri")
		}
		fe = fe.Also(subscriber.Delivery.Validate(ctx).ViaField("delivery"))
		errs = errs.Also(fe.ViaFieldIndex("subscribers", i))
	}
	return errs
}
