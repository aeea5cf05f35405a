package broker

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"knative.dev/eventing/pkg/apis/config"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/routing/build"
)

// deliveryKeys are the annotations in a Broker's status that hold the delivery
// defaults which core forgets.
var deliveryKeys = []string{
	build.DeliveryTimeoutAnnotation, build.DeliveryRetryAfterMaxAnnotation, build.DeliveryFormatAnnotation,
}

// defaults are those of the ConfigMap config-br-defaults. It is safe for
// concurrent use.
type defaults struct {
	now atomic.Pointer[config.Defaults]
}

// set reads the ConfigMap. One with a mistake leaves what was read before.
func (d *defaults) set(cm *corev1.ConfigMap) error {
	parsed, err := config.NewDefaultsConfigFromConfigMap(cm)
	if err == nil {
		d.now.Store(parsed)
	}
	return err
}

// candidates are the defaults that core may have applied to a Broker: those of
// its class or, as core does it where a Broker names its own config, those that
// it finds under the kind of the config.
func (d *defaults) candidates(b *eventingv1.Broker) []*config.BrokerConfig {
	names := []string{b.Annotations[eventing.BrokerClassKey]}
	if b.Spec.Config != nil {
		names = append(names, b.Spec.Config.Kind)
	}
	var found []*config.BrokerConfig
	for _, name := range names {
		if c, err := d.now.Load().GetBrokerConfig(b.Namespace, &name); err == nil && c != nil {
			found = append(found, c)
		}
	}
	return found
}

// reference is whether ref is the config that a Broker without one gets.
func (d *defaults) reference(b *eventingv1.Broker, ref *duckv1.KReference) bool {
	for _, c := range d.candidates(b) {
		if c.KReference != nil && c.Kind == ref.Kind && c.Namespace == ref.Namespace && c.Name == ref.Name {
			return true
		}
	}
	return false
}

// applied is the default delivery that core's webhook gave the Broker when it
// was made, nil if its delivery is the user's own. Core leaves no mark, but it
// copies four fields: a Broker with those values in those four fields and
// nothing else has them from there, or may as well have.
func (d *defaults) applied(ctx context.Context, b *eventingv1.Broker) *eventingduckv1.DeliverySpec {
	if b.Spec.Delivery == nil {
		return nil
	}
	for _, c := range d.candidates(b) {
		if c.Delivery == nil {
			continue
		}
		copied := (&eventingduckv1.DeliverySpec{
			DeadLetterSink: c.Delivery.DeadLetterSink,
			Retry:          c.Delivery.Retry,
			BackoffPolicy:  c.Delivery.BackoffPolicy,
			BackoffDelay:   c.Delivery.BackoffDelay,
		}).DeepCopy()
		copied.SetDefaults(apis.WithinParent(ctx, b.ObjectMeta))
		if equality.Semantic.DeepEqual(copied, b.Spec.Delivery) {
			return c.Delivery
		}
	}
	return nil
}

// deliveryDefaults gives a Broker with the default delivery those fields of it
// that core forgets to copy, in its status. When the defaults change so that
// the Broker's delivery is not theirs any more, it keeps what it had, as it
// keeps the four fields in its spec; until its spec changes.
func (r *Reconciler) deliveryDefaults(ctx context.Context, b *eventingv1.Broker) time.Duration {
	delivery := r.defaults.applied(ctx, b)
	if delivery == nil && b.Status.ObservedGeneration == b.Generation {
		return 0
	}
	setAnnotations(&b.Status.Status, deliveryKeys, forgotten(delivery))
	return 0
}

// forgotten are the fields of a default delivery that core does not copy.
func forgotten(d *eventingduckv1.DeliverySpec) map[string]string {
	fields := make(map[string]string)
	if d == nil {
		return fields
	}
	if d.Timeout != nil {
		fields[build.DeliveryTimeoutAnnotation] = *d.Timeout
	}
	if d.RetryAfterMax != nil {
		fields[build.DeliveryRetryAfterMaxAnnotation] = *d.RetryAfterMax
	}
	if d.Format != nil {
		fields[build.DeliveryFormatAnnotation] = string(*d.Format)
	}
	return fields
}
