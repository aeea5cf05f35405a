package channel

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/kmeta"
	"knative.dev/pkg/network"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/reconciler/dataplane"
)

// The reasons of ChannelServiceReady.
const (
	reasonServiceNotOwned = "ServiceNotOwned"
	reasonServiceFailed   = "ServiceFailed"
)

const httpPort = 80

// serviceName is that of the Service by whose name senders reach a channel.
func serviceName(c *v1alpha1.LeatChannel) string { return kmeta.ChildName(c.Name, "-kn-channel") }

func host(c *v1alpha1.LeatChannel) string {
	return network.GetServiceHostname(serviceName(c), c.Namespace)
}

// newService is an alias of the data plane's Service. The data plane knows a
// channel by the host name of the request.
func newService(c *v1alpha1.LeatChannel) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: serviceName(c),
			Labels: map[string]string{
				"app.kubernetes.io/name":      "leat",
				"app.kubernetes.io/part-of":   "leat",
				"app.kubernetes.io/component": "leat-controller",
				"messaging.knative.dev/role":  "leat-channel",
			},
			OwnerReferences: []metav1.OwnerReference{*kmeta.NewControllerRef(c)},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeExternalName, ExternalName: dataplane.IngressHost(),
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: httpPort}},
		},
	}
}

// service makes the channel's Service, and mends it. One that is not the
// channel's own is left alone.
func (r *Reconciler) service(ctx context.Context, s *subject) time.Duration {
	want := newService(s.LeatChannel)
	have, err := r.services.Services(want.Namespace).Get(want.Name)
	client := r.kube.CoreV1().Services(want.Namespace)
	switch {
	case apierrors.IsNotFound(err):
		_, err = client.Create(ctx, want, metav1.CreateOptions{})
	case err == nil && leaving(have, s.LeatChannel):
		s.Status.MarkServiceUnknown(dataplane.ReasonTryingAgain,
			"The Service %s/%s of an earlier channel is still there; it is being deleted.", want.Namespace, want.Name)
		return dataplane.Later
	case err == nil && !metav1.IsControlledBy(have, s.LeatChannel):
		s.Status.MarkServiceFailed(reasonServiceNotOwned,
			"There is a Service %s/%s that is not the channel's own; delete it, or give the channel another name.", want.Namespace, want.Name)
		return 0
	case err == nil && !alike(have, want):
		_, err = client.Update(ctx, mended(have, want), metav1.UpdateOptions{})
	}
	switch {
	case err == nil:
		s.Status.MarkServiceReady()
		return 0
	case apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || dataplane.Temporary(err):
		// Whose it is, or how it is now, will be known soon. A Service that was
		// there before still leads where it did.
		if !s.condition(v1alpha1.LeatChannelConditionServiceReady).IsTrue() {
			s.Status.MarkServiceUnknown(dataplane.ReasonTryingAgain, "%s", dataplane.Clip(err.Error()))
		}
		return dataplane.Soon
	}
	s.Status.MarkServiceFailed(reasonServiceFailed, "The Service %s/%s cannot be written: %s",
		want.Namespace, want.Name, dataplane.Clip(err.Error()))
	return dataplane.Later
}

// leaving is whether a Service goes by itself: it is being deleted, or was that of
// an earlier channel of this name.
func leaving(have *corev1.Service, c *v1alpha1.LeatChannel) bool {
	owner := metav1.GetControllerOf(have)
	return have.DeletionTimestamp != nil || (owner != nil && owner.UID != c.UID && owner.Name == c.Name &&
		owner.Kind == c.GetGroupVersionKind().Kind && owner.APIVersion == v1alpha1.SchemeGroupVersion.String())
}

// alike compares what is set here; the API server adds defaults, and others may
// add labels.
func alike(have, want *corev1.Service) bool {
	if have.Spec.Type != want.Spec.Type || have.Spec.ExternalName != want.Spec.ExternalName || len(have.Spec.Ports) != 1 {
		return false
	}
	p, q := have.Spec.Ports[0], want.Spec.Ports[0]
	if p.Name != q.Name || p.Protocol != q.Protocol || p.Port != q.Port {
		return false
	}
	for key, value := range want.Labels {
		if have.Labels[key] != value {
			return false
		}
	}
	return true
}

func mended(have, want *corev1.Service) *corev1.Service {
	have = have.DeepCopy()
	have.Spec = want.Spec
	if have.Labels == nil {
		have.Labels = make(map[string]string, len(want.Labels))
	}
	maps.Copy(have.Labels, want.Labels)
	return have
}
