package v1alpha1_test

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
)

func channel(edit func(*v1alpha1.LeatChannel)) *v1alpha1.LeatChannel {
	c := &v1alpha1.LeatChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"}}
	if edit != nil {
		edit(c)
	}
	return c
}

func TestSetDefaults(t *testing.T) {
	c := channel(func(c *v1alpha1.LeatChannel) {
		c.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{
			Ref: &duckv1.KReference{APIVersion: "v1", Kind: "Service", Name: "dead"},
		}}
	})
	c.SetDefaults(context.Background())
	if got := c.Spec.Delivery.DeadLetterSink.Ref.Namespace; got != "shop" {
		t.Errorf("the dead letter sink's namespace is %q, want the channel's", got)
	}
}

func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	kinds, _, err := scheme.ObjectKinds(&v1alpha1.LeatChannel{})
	if err != nil {
		t.Fatal(err)
	}
	if got := kinds[0].String(); got != "messaging.knative.dev/v1alpha1, Kind=LeatChannel" {
		t.Errorf("the kind is %q", got)
	}
}
