package dataplane

import (
	"cmp"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

const (
	// askAgain is when a removal is looked at again if the data plane has not
	// told of any change. It does tell; this is for what nobody thought of.
	askAgain = 30 * time.Second
	// patience is how long a removal may take before it is worth an event.
	patience = 15 * time.Second
)

// ReasonWaiting is that of the event on an object whose deletion takes long.
const ReasonWaiting = "FinalizingWaits"

// Removal holds back the deletion of objects until nothing is stored any more
// of their streams. The zero value is ready. It is safe for concurrent use.
type Removal struct {
	mu sync.Mutex
	// told are the objects that have got their event.
	told map[types.UID]bool
}

// Await returns nil once nothing is stored any more of the stream of an object
// that is being deleted, else an error that asks for another try later. An
// object that waits for long gets one event that says why.
func (r *Removal) Await(ctx context.Context, asker served.Asker, object Object, name routing.StreamName) reconciler.Event {
	uid := object.GetUID()
	if asker.Removed(name, string(uid)) {
		r.tell(uid, false)
		return nil
	}
	why := "The deletion waits until the data plane has deleted its events."
	if v := asker.Stream(name, string(uid)); v.State == served.Away {
		why += " " + cmp.Or(v.Reason, "The data plane does not answer.")
	}
	logging.FromContext(ctx).Infow(why, "stream", name.String())
	if deleted := object.GetDeletionTimestamp(); time.Since(deleted.Time) > patience && r.tell(uid, true) {
		if recorder := controller.GetEventRecorder(ctx); recorder != nil {
			recorder.Event(object, corev1.EventTypeWarning, ReasonWaiting, why)
		}
	}
	return controller.NewRequeueAfter(askAgain)
}

// tell notes whether an object has got its event, and reports whether that is
// new.
func (r *Removal) tell(uid types.UID, told bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[uid] == told {
		return false
	}
	if !told {
		delete(r.told, uid)
		return true
	}
	if r.told == nil {
		r.told = make(map[types.UID]bool)
	}
	r.told[uid] = true
	return true
}
