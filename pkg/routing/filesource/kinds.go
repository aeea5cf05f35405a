package filesource

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"knative.dev/eventing/pkg/apis/config"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	messagingconfig "knative.dev/eventing/pkg/apis/messaging/config"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	sigsjson "sigs.k8s.io/json"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/routing/build"
)

// The kinds that are read, by apiVersion and kind.
const (
	kindService      = "Service"
	kindBroker       = "Broker"
	kindTrigger      = "Trigger"
	kindChannel      = "Channel"
	kindSubscription = "Subscription"
	kindLeatChannel  = "LeatChannel"

	leatChannelVersion = "messaging.knative.dev/v1alpha1"
)

type typeName struct{ apiVersion, kind string }

var kinds = map[typeName]func() metav1.Object{
	{"v1", kindService}:                            func() metav1.Object { return new(corev1.Service) },
	{"eventing.knative.dev/v1", kindBroker}:        func() metav1.Object { return new(eventingv1.Broker) },
	{"eventing.knative.dev/v1", kindTrigger}:       func() metav1.Object { return new(eventingv1.Trigger) },
	{"messaging.knative.dev/v1", kindChannel}:      func() metav1.Object { return new(messagingv1.Channel) },
	{"messaging.knative.dev/v1", kindSubscription}: func() metav1.Object { return new(messagingv1.Subscription) },
	{leatChannelVersion, kindLeatChannel}:          func() metav1.Object { return new(v1alpha1.LeatChannel) },
}

const kindsText = "Broker, Trigger, Channel, Subscription, LeatChannel, and Service of type ExternalName"

// ours is whether an object of an unknown kind could have been meant for Leat.
func ours(apiVersion string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	return group == "eventing.knative.dev" || group == "messaging.knative.dev" || apiVersion == ""
}

// knative has what a cluster's configuration would tell defaulting and
// validation: the class and the kind of channel are Leat's, and delivery
// options that upstream hides behind a flag are on.
var knative = func() context.Context {
	ctx := feature.ToContext(context.Background(), feature.Flags{
		feature.DeliveryTimeout:    feature.Enabled,
		feature.DeliveryRetryAfter: feature.Enabled,
	})
	ctx = config.ToContext(ctx, &config.Config{Defaults: &config.Defaults{
		ClusterDefaultConfig: &config.DefaultConfig{DefaultBrokerClass: build.BrokerClass},
	}})
	return messagingconfig.ToContext(ctx, &messagingconfig.Config{ChannelDefaults: &messagingconfig.ChannelDefaults{
		ClusterDefault: &messagingconfig.ChannelTemplateSpec{
			TypeMeta: metav1.TypeMeta{APIVersion: leatChannelVersion, Kind: kindLeatChannel},
		},
	}})
}()

// complete sets an object's defaults and says what is wrong with it.
func complete(obj metav1.Object) (err error) {
	// Upstream's validation parses durations with a library that panics on some
	// of them, such as a lone sign.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a value is so wrong that it cannot be checked: %v", r)
		}
	}()
	if reasons := validation.IsDNS1123Label(obj.GetNamespace()); len(reasons) > 0 {
		return fmt.Errorf("metadata.namespace: %s", reasons[0])
	}
	if reasons := validation.IsDNS1123Subdomain(obj.GetName()); len(reasons) > 0 {
		return fmt.Errorf("metadata.name: %s", reasons[0])
	}
	if d, ok := obj.(apis.Defaultable); ok {
		d.SetDefaults(knative)
	}
	if v, ok := asUpstreamWants(obj).(apis.Validatable); ok {
		if fe := v.Validate(knative); fe != nil {
			return fe
		}
	}
	switch o := obj.(type) {
	case *corev1.Service:
		return checkService(o)
	case *messagingv1.Channel:
		_, err := leatChannelOf(o)
		return err
	}
	return nil
}

// asUpstreamWants is the object in a form that upstream's validation takes: it
// demands a subscriber of every Subscription, where the control-plane spec
// (Subscription Lifecycle) is content with a reply.
func asUpstreamWants(obj metav1.Object) metav1.Object {
	s, ok := obj.(*messagingv1.Subscription)
	if !ok || s.Spec.Subscriber != nil || s.Spec.Reply == nil {
		return obj
	}
	full := *s
	full.Spec.Subscriber = s.Spec.Reply
	return &full
}

// remark is what is to be said about an object that is taken nevertheless.
func remark(obj metav1.Object) string {
	if b, ok := obj.(*eventingv1.Broker); ok && b.Annotations[eventing.BrokerClassKey] != build.BrokerClass {
		return fmt.Sprintf("its class is %q, so it is left out with its Triggers; set the annotation %s to %s or remove it",
			b.Annotations[eventing.BrokerClassKey], eventing.BrokerClassKey, build.BrokerClass)
	}
	return ""
}

func checkService(s *corev1.Service) error {
	if s.Spec.Type != corev1.ServiceTypeExternalName {
		return fmt.Errorf("spec.type is %q, but without a cluster only a Service of type ExternalName leads anywhere", s.Spec.Type)
	}
	host := strings.TrimSuffix(s.Spec.ExternalName, ".")
	if reasons := validation.IsDNS1123Subdomain(host); len(reasons) > 0 {
		return fmt.Errorf("spec.externalName: %s", reasons[0])
	}
	if len(s.Spec.Ports) > 0 {
		if reasons := validation.IsValidPortNum(int(s.Spec.Ports[0].Port)); len(reasons) > 0 {
			return fmt.Errorf("spec.ports[0].port: %s", reasons[0])
		}
	}
	return nil
}

// leatChannelOf is the channel that backs a Channel: of the same name, as the
// Channel controller would make it.
func leatChannelOf(c *messagingv1.Channel) (*v1alpha1.LeatChannel, error) {
	out := &v1alpha1.LeatChannel{ObjectMeta: *c.ObjectMeta.DeepCopy()}
	if t := c.Spec.ChannelTemplate; t != nil {
		if t.APIVersion != leatChannelVersion || t.Kind != kindLeatChannel {
			return nil, fmt.Errorf("spec.channelTemplate is %s %s, but must be %s %s or left out",
				t.APIVersion, t.Kind, leatChannelVersion, kindLeatChannel)
		}
		if t.Spec != nil && len(t.Spec.Raw) > 0 {
			if err := strict(sigsjson.UnmarshalStrict(t.Spec.Raw, &out.Spec)); err != nil {
				return nil, fmt.Errorf("spec.channelTemplate.spec: %w", err)
			}
		}
	}
	if c.Spec.Delivery != nil {
		out.Spec.Delivery = c.Spec.Delivery.DeepCopy()
	}
	out.SetDefaults(knative)
	if fe := out.Validate(knative); fe != nil {
		return nil, fe
	}
	return out, nil
}
