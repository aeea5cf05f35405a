package dataplane

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
)

// Object is what is reconciled.
type Object interface {
	runtime.Object
	duckv1.KRShaped
}

// Announce records a Warning for each of the conditions that tells of a mistake
// now and did not, or told of another one. An object that stays as it is gets
// none.
func Announce(ctx context.Context, before duckv1.Conditions, now Object, conditions ...apis.ConditionType) {
	recorder := controller.GetEventRecorder(ctx)
	if recorder == nil {
		return
	}
	for _, t := range conditions {
		old, c := condition(before, t), condition(now.GetStatus().Conditions, t)
		if mistaken(c) && (!mistaken(old) || old.Reason != c.Reason || old.Message != c.Message) {
			recorder.Event(now, corev1.EventTypeWarning, cmp.Or(c.Reason, string(t)), c.Message)
		}
	}
}

func mistaken(c *apis.Condition) bool {
	return c.IsFalse() || (c.IsTrue() && c.Reason == ReasonIgnored)
}

func condition(list duckv1.Conditions, t apis.ConditionType) *apis.Condition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}
