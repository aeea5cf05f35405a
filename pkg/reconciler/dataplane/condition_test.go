package dataplane_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"

	"leat.dev/leat/pkg/reconciler/dataplane"
)

var set = apis.NewLivingConditionSet("A", "B", "C")

// Ready does not depend on what changed last, as it does in knative.dev/pkg.
func TestSummarize(t *testing.T) {
	const yes, no, maybe = corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown
	tests := []struct {
		a, b, c corev1.ConditionStatus
		want    corev1.ConditionStatus
		reason  string
	}{
		{yes, yes, yes, yes, ""},
		{no, no, no, no, "A"},
		{yes, no, no, no, "B"},
		{maybe, no, maybe, no, "B"},
		{maybe, yes, no, no, "C"},
		{maybe, maybe, yes, maybe, "A"},
		{yes, maybe, maybe, maybe, "B"},
		{yes, yes, "", maybe, ""},
	}
	for _, tt := range tests {
		for _, order := range [][]apis.ConditionType{{"A", "B", "C"}, {"C", "B", "A"}, {"B", "C", "A"}} {
			var status duckv1.Status
			m := set.Manage(&status)
			for _, c := range order {
				if s := map[apis.ConditionType]corev1.ConditionStatus{"A": tt.a, "B": tt.b, "C": tt.c}[c]; s != "" {
					m.SetCondition(apis.Condition{Type: c, Status: s, Reason: string(c), Message: "m"})
				}
			}
			dataplane.Summarize(m, "A", "B", "C")
			if got := m.GetTopLevelCondition(); got.Status != tt.want || got.Reason != tt.reason {
				t.Errorf("%+v set in the order %v are %s (%s), want %s (%s)", tt, order, got.Status, got.Reason, tt.want, tt.reason)
			}
		}
	}
}

func TestTemporary(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	tests := []struct {
		err  error
		want bool
	}{
		{apierrors.NewServiceUnavailable("x"), true},
		{apierrors.NewTooManyRequests("x", 1), true},
		{apierrors.NewInternalError(errors.New("x")), true},
		{apierrors.NewServerTimeout(services, "list", 1), true},
		{context.DeadlineExceeded, true},
		{&url.Error{Op: "Get", Err: errors.New("connection refused")}, true},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		{apierrors.NewNotFound(services, "x"), false},
		{apierrors.NewForbidden(services, "x", nil), false},
		{apierrors.NewBadRequest("x"), false},
		{errors.New("x"), false},
	}
	for _, tt := range tests {
		if got := dataplane.Temporary(fmt.Errorf("wrapped: %w", tt.err)); got != tt.want {
			t.Errorf("Temporary(%v) is %t", tt.err, got)
		}
	}
}

func TestAgain(t *testing.T) {
	if err := dataplane.Again(0, 0); err != nil {
		t.Errorf("nothing asks for another time, but there is one: %v", err)
	}
	if ok, after := controller.IsRequeueKey(dataplane.Again(0, time.Minute, time.Second)); !ok || after != time.Second {
		t.Errorf("after %s, want the least", after)
	}
}

func TestClip(t *testing.T) {
	if got := dataplane.Clip("short"); got != "short" {
		t.Errorf("%q", got)
	}
	if got := dataplane.Clip(strings.Repeat("x", 5000)); len(got) != 1003 || !strings.HasSuffix(got, "x...") {
		t.Errorf("a long text has %d bytes", len(got))
	}
}
