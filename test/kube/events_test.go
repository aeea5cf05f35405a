package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/test/harness"
)

// A target is where a sender outside of the cluster reaches an address of the
// cluster.
type target struct {
	url, host string
}

// target finds what an address of a status leads to, as the cluster's name
// service would.
func (w *world) target(t testing.TB, address *duckv1.Addressable) target {
	t.Helper()
	if address == nil || address.URL == nil {
		t.Fatal("the status has no address")
	}
	if err := w.leadsToIngress(t.Context(), address.URL.Host, 0); err != nil {
		t.Fatal(err)
	}
	return target{"http://" + w.events + address.URL.Path, address.URL.Host}
}

// leadsToIngress follows the Services behind a host name to the one of the
// dispatcher.
func (w *world) leadsToIngress(ctx context.Context, host string, hops int) error {
	labels := strings.Split(host, ".")
	if len(labels) != 5 || !strings.HasSuffix(host, ".svc.cluster.local") || hops > 3 {
		return fmt.Errorf("%s is no name of a Service, or one that leads nowhere", host)
	}
	service, err := w.kube.CoreV1().Services(labels[1]).Get(ctx, labels[0], metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("%s leads nowhere: %w", host, err)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return w.leadsToIngress(ctx, service.Spec.ExternalName, hops+1)
	case service.Name != "leat-ingress" || service.Namespace != system:
		return fmt.Errorf("%s leads to the Service %s/%s, not to Leat", host, service.Namespace, service.Name)
	}
	return nil
}

// post sends one event.
func (to target) post(ctx context.Context, id string, change ...func(*event.Event)) (harness.Response, error) {
	header, body := harness.Binary(harness.Event(id, change...))
	header.Set("Host", to.host)
	return harness.TryDo(ctx, http.MethodPost, to.url, header, body)
}

// send sends events one by one, and each must be accepted.
func (to target) send(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if r, err := to.post(t.Context(), id); err != nil || r.Status != http.StatusAccepted {
			t.Fatalf("event %s: %v, answered %d: %s", id, err, r.Status, r.Body)
		}
	}
}

// sendTyped sends one event of a type, and it must be accepted.
func (to target) sendTyped(t testing.TB, id, value string) {
	t.Helper()
	if r, err := to.post(t.Context(), id, harness.Type(value)); err != nil || r.Status != http.StatusAccepted {
		t.Fatalf("event %s: %v, answered %d: %s", id, err, r.Status, r.Body)
	}
}

// numbered is n ids.
func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return ids
}

// closedSubscriber refuses everything until it is opened.
func closedSubscriber(t testing.TB) (sub *harness.Subscriber, open func()) {
	t.Helper()
	var isOpen atomic.Bool
	return harness.NewSubscriber(t, func(harness.Request) harness.Answer {
		if isOpen.Load() {
			return harness.Answer{Status: http.StatusOK}
		}
		return harness.Answer{Status: http.StatusServiceUnavailable}
	}), func() { isOpen.Store(true) }
}

// A load is senders that go on, whatever becomes of the dispatcher, and never
// send an event twice.
type load struct {
	t    testing.TB
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	acked []string
	// lastAck is when the last event was acknowledged, and longest the longest
	// time without.
	lastAck time.Time
	longest time.Duration
}

// startLoad sends to all targets until it is ended.
func startLoad(t testing.TB, to ...target) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: t, stop: stop, lastAck: time.Now()}
	for i, one := range to {
		for sender := range 2 {
			l.done.Go(func() { l.send(ctx, one, fmt.Sprintf("load-%d-%d", i, sender)) })
		}
	}
	t.Cleanup(func() { l.end() })
	return l
}

// send returns when ctx ends. Only a missing answer is taken as it comes: it
// says nothing about the event.
func (l *load) send(ctx context.Context, to target, name string) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%s-%d", name, n)
		r, err := to.post(context.WithoutCancel(ctx), id)
		switch {
		case err != nil:
		case r.Status == http.StatusAccepted:
			l.ack(id)
		default:
			l.t.Errorf("event %s was answered %d: %s", id, r.Status, r.Body)
		}
		select {
		case <-time.After(4 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (l *load) ack(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, id)
	now := time.Now()
	l.longest = max(l.longest, now.Sub(l.lastAck))
	l.lastAck = now
}

// acknowledged returns the events that were answered with 202 so far.
func (l *load) acknowledged() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acked)
}

// pause returns the longest time without an acknowledged event so far.
func (l *load) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.longest, time.Since(l.lastAck))
}

// waitMore waits until n more events are acknowledged.
func (l *load) waitMore(n int) {
	l.t.Helper()
	from := len(l.acknowledged())
	eventually(l.t, func() error {
		if more := len(l.acknowledged()) - from; more < n {
			return fmt.Errorf("%d of %d events were acknowledged", more, n)
		}
		return nil
	})
}

// end stops the senders and returns all that was acknowledged.
func (l *load) end() []string {
	l.stop()
	l.done.Wait()
	return l.acknowledged()
}

// waitDelivered waits until each event has come to one of the subscribers.
func waitDelivered(t testing.TB, ids []string, subscribers ...*harness.Subscriber) {
	t.Helper()
	eventually(t, func() error {
		got := map[string]bool{}
		for _, s := range subscribers {
			for _, id := range s.IDs() {
				got[id] = true
			}
		}
		missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return got[id] })
		if len(missing) > 0 {
			return fmt.Errorf("%d of %d acknowledged events are not delivered, %q for example", len(missing), len(ids), missing[0])
		}
		return nil
	})
}

// stream returns the state of a stream of the room; false if nothing is stored
// of it any more.
func (r *room) stream(name string) (harness.StreamState, bool) {
	r.t.Helper()
	var all []harness.StreamState
	if err := r.ask("/v1/streams", &all); err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s harness.StreamState) bool { return s.Namespace == r.name && s.Name == name })
	if i < 0 {
		return harness.StreamState{}, false
	}
	return all[i], true
}

// waitSettled waits until every route of a stream has settled every event that
// was sent before.
func (r *room) waitSettled(name string) {
	r.t.Helper()
	eventually(r.t, func() error {
		if s, ok := r.stream(name); !ok || s.Lag != 0 || s.Problem != "" {
			return fmt.Errorf("the stream of %s has unsettled events: %+v", name, s)
		}
		return nil
	})
}

// waitFailing waits until n events wait for a Trigger whose subscriber refuses
// them.
func (r *room) waitFailing(broker, trigger string, n uint64) {
	r.t.Helper()
	eventually(r.t, func() error {
		var s harness.StreamState
		if err := r.ask("/v1/streams/"+r.name+"/"+broker, &s); err != nil {
			return err
		}
		i := slices.IndexFunc(s.Routes, func(route harness.RouteState) bool { return route.Name == trigger })
		if i < 0 {
			return fmt.Errorf("the data plane has no route of the Trigger %s: %+v", trigger, s)
		}
		if route := s.Routes[i]; route.Lag != n || route.LastError == "" {
			return fmt.Errorf("%d events should wait: %+v", n, route)
		}
		return nil
	})
}

// ask gets JSON from the dispatcher's operator API.
func (w *world) ask(path string, into any) error {
	r, err := harness.TryDo(context.Background(), http.MethodGet, "http://"+w.admin+path, nil, nil)
	if err != nil {
		return err
	}
	if r.Status != http.StatusOK {
		return fmt.Errorf("GET %s was answered %d: %s", path, r.Status, r.Body)
	}
	return errors.Join(json.Unmarshal([]byte(r.Body), into))
}
