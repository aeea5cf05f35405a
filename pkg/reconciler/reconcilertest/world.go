package reconcilertest

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	kubescheme "k8s.io/client-go/kubernetes/scheme"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	eventingfake "knative.dev/eventing/pkg/client/clientset/versioned/fake"
	eventingscheme "knative.dev/eventing/pkg/client/clientset/versioned/scheme"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	leatfake "leat.dev/leat/pkg/client/clientset/versioned/fake"
	leatscheme "leat.dev/leat/pkg/client/clientset/versioned/scheme"
	leatlisters "leat.dev/leat/pkg/client/listers/messaging/v1alpha1"
)

// Kinds of objects of other projects, or of which only a part is looked at.
var (
	KnativeService = schema.GroupVersionKind{Group: "serving.knative.dev", Version: "v1", Kind: "Service"}
	PingSource     = schema.GroupVersionKind{Group: "sources.knative.dev", Version: "v1", Kind: "PingSource"}
)

// fill puts objects where the clients and listers find them.
func (w *World) fill(t *testing.T, objects []runtime.Object) *dynamicfake.FakeDynamicClient {
	t.Helper()
	scheme := newScheme()
	var kube, eventing, leat, all []runtime.Object
	brokers, triggers, channels, services := newIndexer(), newIndexer(), newIndexer(), newIndexer()
	for _, o := range objects {
		var err error
		switch o := o.(type) {
		case *eventingv1.Broker:
			eventing, err = append(eventing, o), brokers.Add(o)
		case *eventingv1.Trigger:
			eventing, err = append(eventing, o), triggers.Add(o)
		case *v1alpha1.LeatChannel:
			leat, err = append(leat, o), channels.Add(o)
		case *messagingv1.Subscription:
			eventing, w.Subscriptions = append(eventing, o), append(w.Subscriptions, o)
		case *corev1.Service:
			kube, err = append(kube, o), services.Add(o)
		case *corev1.ConfigMap:
			kube = append(kube, o)
		case *unstructured.Unstructured:
		default:
			t.Fatalf("a world has no place for %T", o)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, toUnstructured(t, scheme, o))
	}
	w.Kube, w.Eventing = kubefake.NewClientset(kube...), eventingfake.NewSimpleClientset(eventing...)
	w.Leat = leatfake.NewSimpleClientset(leat...)
	w.Channels, w.Services = leatlisters.NewLeatChannelLister(channels), corev1listers.NewServiceLister(services)
	w.Brokers, w.Triggers = eventinglisters.NewBrokerLister(brokers), eventinglisters.NewTriggerLister(triggers)
	return dynamicfake.NewSimpleDynamicClient(scheme, all...)
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(kubescheme.AddToScheme(scheme))
	utilruntime.Must(eventingscheme.AddToScheme(scheme))
	utilruntime.Must(leatscheme.AddToScheme(scheme))
	list := KnativeService
	list.Kind += "List"
	scheme.AddKnownTypeWithName(KnativeService, &unstructured.Unstructured{})
	scheme.AddKnownTypeWithName(list, &unstructured.UnstructuredList{})
	return scheme
}

func newIndexer() cache.Indexer {
	return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
}

func toUnstructured(t *testing.T, scheme *runtime.Scheme, o runtime.Object) runtime.Object {
	t.Helper()
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.DeepCopy()
	}
	kinds, _, err := scheme.ObjectKinds(o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]any{}
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kinds[0])
	return u
}
