package mirror

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Between two attempts: at first, and at most; up to a half more at random.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 5 * time.Second
)

// reader reads one kind for a reflector, and does not let go of a request that
// fails because the API server is away or does not permit it yet.
type reader[L runtime.Object] struct {
	client   Client[L]
	selector string
	health   health

	mu sync.Mutex
	// under are the requests under way. The reflector does not wait for a list
	// when it ends.
	under  sync.WaitGroup
	closed bool
}

// enter is false when no more requests are made.
func (r *reader[L]) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.under.Add(1)
	return true
}

// close waits for the requests under way, and lets no more begin.
func (r *reader[L]) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.under.Wait()
}

var errClosed = errors.New("the mirror has ended")

var _ interface {
	cache.ListerWatcher
	cache.ListerWatcherWithContext
} = (*reader[runtime.Object])(nil)

// ListWithContext lists what is there now. A reflector would be content with
// any state, also with one from before this process began: an API server whose
// cache lags behind. What is missing from that is not gone.
func (r *reader[L]) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if !r.enter() {
		return nil, errClosed
	}
	defer r.under.Done()
	if o.ResourceVersion == "0" {
		o.ResourceVersion = ""
	}
	o.FieldSelector = r.selector
	return insist(ctx, &r.health, func() (L, error) { return r.client.List(ctx, o) })
}

// WatchWithContext begins a watch.
func (r *reader[L]) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if !r.enter() {
		return nil, errClosed
	}
	defer r.under.Done()
	o.FieldSelector = r.selector
	return insist(ctx, &r.health, func() (watch.Interface, error) { return r.client.Watch(ctx, o) })
}

// List is the form without a context, which nobody calls.
func (r *reader[L]) List(o metav1.ListOptions) (runtime.Object, error) {
	return r.ListWithContext(context.Background(), o)
}

// Watch is the form without a context, which nobody calls.
func (r *reader[L]) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return r.WatchWithContext(context.Background(), o)
}

// insist tries again until it succeeds, ctx ends, or the error is one that a
// reflector must see.
func insist[R any](ctx context.Context, h *health, try func() (R, error)) (R, error) {
	pause := wait.Backoff{Duration: firstPause, Factor: 2, Jitter: 0.5, Steps: 1 << 20, Cap: maxPause}
	for {
		result, err := try()
		switch {
		case err == nil:
			h.succeeded(time.Now())
			return result, nil
		case ctx.Err() != nil || !passes(err):
			return result, err
		}
		h.failed(err, time.Now())
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(pause.Step()):
		}
	}
}

// passes is whether an error goes away without the request being another one:
// no answer at all, an overloaded API server, a permission or a CustomResource-
// Definition that is not there yet.
func passes(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	if apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		return false
	}
	switch code := status.Status().Code; code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return true
	default:
		return code >= http.StatusInternalServerError
	}
}
