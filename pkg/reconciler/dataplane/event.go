package dataplane

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
)

// Announce records a Warning for each of the conditions that is False now and
// was not, or was for another reason. An object that stays as it is gets none.
func Announce(ctx context.Context, before duckv1.Conditions, now duckv1.KRShaped, conditions ...apis.ConditionType) {
	recorder := controller.GetEventRecorder(ctx)
	if recorder == nil {
		return
	}
	for _, t := range conditions {
		old, c := condition(before, t), condition(now.GetStatus().Conditions, t)
		if !c.IsFalse() {
			continue
		}
		if !old.IsFalse() || old.Reason != c.Reason || old.Message != c.Message {
			recorder.Event(now, corev1.EventTypeWarning, cmp.Or(c.Reason, string(t)), c.Message)
		}
	}
}

func condition(list duckv1.Conditions, t apis.ConditionType) *apis.Condition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}
