package v1alpha1

import (
	"context"

	"knative.dev/eventing/pkg/apis/messaging"
	"knative.dev/pkg/apis"
)

// SetDefaults says which version of the Subscribable duck type the channel
// conforms to, and completes the reference to a dead letter sink.
func (c *LeatChannel) SetDefaults(ctx context.Context) {
	if c.Annotations == nil {
		c.Annotations = make(map[string]string, 1)
	}
	if _, ok := c.Annotations[messaging.SubscribableDuckVersionAnnotation]; !ok {
		c.Annotations[messaging.SubscribableDuckVersionAnnotation] = "v1"
	}
	c.Spec.SetDefaults(apis.WithinParent(ctx, c.ObjectMeta))
}

// SetDefaults completes the reference to a dead letter sink.
func (s *LeatChannelSpec) SetDefaults(ctx context.Context) {
	s.Delivery.SetDefaults(ctx)
}
