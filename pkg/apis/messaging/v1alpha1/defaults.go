package v1alpha1

import (
	"context"

	"knative.dev/pkg/apis"
)

// SetDefaults completes the reference to a dead letter sink. It runs on a
// reconciler's copy before each reconciliation, so it leaves alone what is to be
// written to the API server.
func (c *LeatChannel) SetDefaults(ctx context.Context) {
	c.Spec.SetDefaults(apis.WithinParent(ctx, c.ObjectMeta))
}

// SetDefaults completes the reference to a dead letter sink.
func (s *LeatChannelSpec) SetDefaults(ctx context.Context) {
	s.Delivery.SetDefaults(ctx)
}
