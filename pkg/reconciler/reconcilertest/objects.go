package reconcilertest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgotesting "k8s.io/client-go/testing"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

// Broker is one of class Leat with the finalizer and the UID "broker-uid".
func Broker(namespace, name, finalizer string, edits ...func(*eventingv1.Broker)) *eventingv1.Broker {
	b := &eventingv1.Broker{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(name + "-uid"), Generation: 1, Finalizers: []string{finalizer},
		Annotations: map[string]string{eventing.BrokerClassKey: "Leat"},
	}}
	for _, edit := range edits {
		edit(b)
	}
	return b
}

// Trigger is one of a Broker in its namespace, with a Service as its subscriber.
func Trigger(namespace, name, broker string, edits ...func(*eventingv1.Trigger)) *eventingv1.Trigger {
	t := &eventingv1.Trigger{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name + "-uid"), Generation: 1},
		Spec: eventingv1.TriggerSpec{
			Broker: broker, Filter: &eventingv1.TriggerFilter{},
			Subscriber: duckv1.Destination{Ref: &duckv1.KReference{
				APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: "subscriber",
			}},
		},
	}
	for _, edit := range edits {
		edit(t)
	}
	return t
}

// Service is one of Kubernetes.
func Service(namespace, name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// Addressable is an object with a status.address, or without one if url is
// empty.
func Addressable(kind schema.GroupVersionKind, namespace, name, url string) *unstructured.Unstructured {
	u := object(kind, namespace, name)
	if url != "" {
		u.Object["status"] = map[string]any{"address": map[string]any{"url": url, "CACerts": "pem", "audience": "aud"}}
	}
	return u
}

// Source is an object whose status says about its generation 2 whether it is
// ready.
func Source(namespace, name string, generation int64, ready corev1.ConditionStatus) *unstructured.Unstructured {
	u := object(PingSource, namespace, name)
	u.SetGeneration(generation)
	u.Object["status"] = map[string]any{
		"observedGeneration": int64(2),
		"conditions":         []any{map[string]any{"type": "Ready", "status": string(ready), "reason": "Because", "message": "100% sure"}},
	}
	return u
}

func object(kind schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// ConfigMap is one with data.
func ConfigMap(namespace, name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data}
}

// Condition is one without a time.
func Condition(t apis.ConditionType, status corev1.ConditionStatus, reason, message string) apis.Condition {
	return apis.Condition{Type: t, Status: status, Reason: reason, Message: message}
}

// Conditions are list with those of edits in place of the ones of their types.
func Conditions(list []apis.Condition, edits ...apis.Condition) duckv1.Conditions {
	list = slices.Clone(list)
	for _, edit := range edits {
		i := slices.IndexFunc(list, func(c apis.Condition) bool { return c.Type == edit.Type })
		if i < 0 {
			list = append(list, edit)
			continue
		}
		list[i] = edit
	}
	slices.SortFunc(list, func(a, b apis.Condition) int {
		if a.Type < b.Type {
			return -1
		}
		return 1
	})
	return list
}

// StatusUpdate is what TableRow wants to know of an updated status.
func StatusUpdate(o runtime.Object) []clientgotesting.UpdateActionImpl {
	return []clientgotesting.UpdateActionImpl{{Object: o}}
}
