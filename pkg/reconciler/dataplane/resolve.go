package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/kmeta"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"
)

// The reasons of conditions about destinations.
const (
	// ReasonUnresolved: it is not known where a destination leads to.
	ReasonUnresolved = "Unresolved"
	// ReasonTryingAgain: the cluster could not be asked where a destination
	// leads to.
	ReasonTryingAgain = "TryingAgain"
)

// When to look again at what no informer tells about.
const (
	// Soon is after an error of the API server, which is probably over then.
	Soon = 5 * time.Second
	// Later is for what a person has to mend.
	Later = 30 * time.Second
)

// Resolve finds where dest leads to. A ref without a namespace is one to an
// object beside parent, which is looked at again when that object changes.
func Resolve(ctx context.Context, r *resolver.URIResolver, dest duckv1.Destination, parent kmeta.Accessor) (*duckv1.Addressable, error) {
	if dest.Ref != nil && dest.Ref.Namespace == "" {
		dest.Ref = dest.Ref.DeepCopy()
		dest.Ref.Namespace = parent.GetNamespace()
	}
	return r.AddressableFromDestinationV1(ctx, dest, parent)
}

// Temporary reports whether an error says nothing about the objects, but that
// the API server could not be asked about them.
func Temporary(err error) bool {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return status.Status().Code >= 500 || apierrors.IsTooManyRequests(err)
	}
	var dial net.Error
	var request *url.Error
	return errors.As(err, &dial) || errors.As(err, &request) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Again asks for another reconciliation after the least of the durations that
// is more than zero, if there is one.
func Again(after ...time.Duration) reconciler.Event {
	var least time.Duration
	for _, d := range after {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	if least == 0 {
		return nil
	}
	return controller.NewRequeueAfter(least)
}

// Clip bounds a text that goes into a status.
func Clip(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%.*s...", most, text)
}
