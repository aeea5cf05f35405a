// Package reconcilertest runs tables of reconciliations against clients of a
// cluster that is not there.
package reconcilertest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	eventingfake "knative.dev/eventing/pkg/client/clientset/versioned/fake"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"
	"knative.dev/pkg/client/injection/ducks/duck/v1/addressable"
	"knative.dev/pkg/client/injection/ducks/duck/v1/source"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection/clients/dynamicclient"
	"knative.dev/pkg/logging"
	logtesting "knative.dev/pkg/logging/testing"
	"knative.dev/pkg/reconciler"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	leatfake "leat.dev/leat/pkg/client/clientset/versioned/fake"
	leatlisters "leat.dev/leat/pkg/client/listers/messaging/v1alpha1"
)

// World is the cluster that a reconciler under test sees.
type World struct {
	Kube     *kubefake.Clientset
	Eventing *eventingfake.Clientset
	Leat     *leatfake.Clientset
	Brokers  eventinglisters.BrokerLister
	Triggers eventinglisters.TriggerLister
	Channels leatlisters.LeatChannelLister
	Services corev1listers.ServiceLister
	// Subscriptions are all that there are.
	Subscriptions []*messagingv1.Subscription
	Recorder      record.EventRecorder
	// Features is the ConfigMap config-features.
	Features *feature.Store
}

// Row is a row of a table with what TableRow has no field for.
type Row struct {
	rtesting.TableRow
	// Features are the flags in config-features.
	Features map[string]string
	// Again is after how long the reconciler asks for another try. Not zero, it
	// takes the place of WantErr.
	Again time.Duration
	// Unsettled is for a reconciliation that does not come to its end: it is not
	// repeated.
	Unsettled bool
}

// Make makes the reconciler of a row. It runs before the reconciliation.
type Make func(ctx context.Context, w *World) controller.Reconciler

// Run reconciles as the row says, and then once more what came out: that must
// change nothing, and record no event.
func (r Row) Run(t *testing.T, maker Make) {
	t.Helper()
	r.WantErr = r.WantErr || r.Again > 0
	rtesting.TableTest{r.TableRow}.Test(t, r.factory(maker))
	if r.Unsettled || t.Failed() {
		return
	}
	again := r.TableRow
	again.Name += ", again"
	again.Objects = nil
	for _, o := range r.Objects {
		again.Objects = append(again.Objects, r.outcome(t, o))
	}
	again.Objects = append(again.Objects, r.WantCreates...)
	again.WantStatusUpdates, again.WantEvents, again.WantPatches = nil, nil, nil
	again.WantCreates, again.WantUpdates = nil, nil
	again.PostConditions = nil
	rtesting.TableTest{again}.Test(t, r.factory(maker))
}

// outcome is what an object has become, as the API server gives it back.
func (r Row) outcome(t *testing.T, o runtime.Object) runtime.Object {
	t.Helper()
	name := func(o runtime.Object) types.NamespacedName {
		m := o.(interface {
			GetNamespace() string
			GetName() string
		})
		return types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()}
	}
	for _, u := range append(slices.Clone(r.WantUpdates), r.WantStatusUpdates...) {
		switch got := u.GetObject().(type) {
		case *eventingv1.Broker:
			if _, ok := o.(*eventingv1.Broker); ok && name(o) == name(got) {
				return roundTrip(t, got, new(eventingv1.Broker))
			}
		case *eventingv1.Trigger:
			if _, ok := o.(*eventingv1.Trigger); ok && name(o) == name(got) {
				return roundTrip(t, got, new(eventingv1.Trigger))
			}
		case *v1alpha1.LeatChannel:
			if _, ok := o.(*v1alpha1.LeatChannel); ok && name(o) == name(got) {
				return roundTrip(t, got, new(v1alpha1.LeatChannel))
			}
		case *corev1.Service:
			if _, ok := o.(*corev1.Service); ok && name(o) == name(got) {
				return roundTrip(t, got, new(corev1.Service))
			}
		}
	}
	return o
}

func roundTrip[T runtime.Object](t *testing.T, from, to T) T {
	t.Helper()
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func (r Row) factory(maker Make) rtesting.Factory {
	return func(t *testing.T, row *rtesting.TableRow) (controller.Reconciler, rtesting.ActionRecorderList, rtesting.EventList) {
		t.Helper()
		logger := logtesting.TestLogger(t)
		ctx, cancel := context.WithCancel(logging.WithLogger(context.Background(), logger))
		t.Cleanup(cancel)
		row.Ctx = ctx

		recorder := record.NewFakeRecorder(100)
		w := &World{Recorder: recorder, Features: feature.NewStore(logger)}
		features := &corev1.ConfigMap{Data: r.Features}
		features.Name = feature.FlagsConfigName
		w.Features.OnConfigChanged(features)
		dynamic := w.fill(t, row.Objects)
		ctx = context.WithValue(ctx, dynamicclient.Key{}, dynamic)
		ctx = controller.WithEventRecorder(ctx, recorder)
		c := maker(source.WithDuck(addressable.WithDuck(ctx)), w)
		if la, ok := c.(reconciler.LeaderAware); ok {
			if err := la.Promote(reconciler.UniversalBucket(), func(reconciler.Bucket, types.NamespacedName) {}); err != nil {
				t.Fatal(err)
			}
		}
		for _, reactor := range row.WithReactors {
			w.Kube.PrependReactor("*", "*", reactor)
			w.Eventing.PrependReactor("*", "*", reactor)
			w.Leat.PrependReactor("*", "*", reactor)
			dynamic.PrependReactor("*", "*", reactor)
		}
		if r.Again > 0 {
			c = asking{c, t, r.Again}
		}
		return c, rtesting.ActionRecorderList{w.Kube, w.Eventing, w.Leat}, rtesting.EventList{Recorder: recorder}
	}
}

// asking is a reconciler that asks for another try.
type asking struct {
	controller.Reconciler
	t     *testing.T
	after time.Duration
}

func (a asking) Reconcile(ctx context.Context, key string) error {
	err := a.Reconciler.Reconcile(ctx, key)
	if ok, after := controller.IsRequeueKey(err); !ok || after != a.after {
		a.t.Errorf("Reconcile returns %v, want another try after %s", err, a.after)
	}
	return err
}
