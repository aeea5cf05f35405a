// Package mirrortest is an API server in memory, for the tests of whoever
// mirrors objects: a Shelf for each kind, which can fail and go away.
package mirrortest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"leat.dev/leat/pkg/kube/mirror"
)

// Shelf has the objects of one kind. It is a mirror.Client.
type Shelf[T mirror.Object, L runtime.Object] struct {
	kind    schema.GroupVersionKind
	newList func() L

	mu      sync.Mutex
	version int
	objects map[types.NamespacedName]T
	history []watch.Event
	// oldest is the version that the history begins after.
	oldest   int
	watchers []*watcher
	failure  error
	lists    int
}

// NewShelf returns an empty Shelf.
func NewShelf[T mirror.Object, L runtime.Object](kind schema.GroupVersionKind, newList func() L) *Shelf[T, L] {
	return &Shelf[T, L]{kind: kind, newList: newList, objects: map[types.NamespacedName]T{}}
}

func name(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Put adds an object, or a new version of it, and keeps no hold of it.
func (s *Shelf[T, L]) Put(objects ...T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		o = o.DeepCopyObject().(T)
		o.GetObjectKind().SetGroupVersionKind(s.kind)
		kind := watch.Added
		if _, there := s.objects[name(o)]; there {
			kind = watch.Modified
		}
		s.version++
		o.SetResourceVersion(strconv.Itoa(s.version))
		s.objects[name(o)] = o
		s.send(watch.Event{Type: kind, Object: o})
	}
}

// Delete removes an object.
func (s *Shelf[T, L]) Delete(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := types.NamespacedName{Namespace: namespace, Name: name}
	o := s.objects[key].DeepCopyObject().(T)
	delete(s.objects, key)
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.send(watch.Event{Type: watch.Deleted, Object: o})
}

// Fail makes every request fail and ends the watches. Nil makes all well again.
func (s *Shelf[T, L]) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	s.closeWatches()
}

// Forget drops the history: a watch that goes on from an older version is
// refused with 410, and its client lists again.
func (s *Shelf[T, L]) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history, s.oldest = nil, s.version
	s.closeWatches()
}

// Lists is how often the objects were listed.
func (s *Shelf[T, L]) Lists() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

// List implements mirror.Client.
func (s *Shelf[T, L]) List(ctx context.Context, o metav1.ListOptions) (L, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.newList()
	if err := s.check(ctx); err != nil {
		return list, err
	}
	s.lists++
	items := []runtime.Object{}
	if o.ResourceVersion != "0" { // which may be answered with what was long ago
		for _, object := range s.objects {
			if selected(o, object) {
				items = append(items, object.DeepCopyObject())
			}
		}
	}
	if err := meta.SetList(list, items); err != nil {
		return list, err
	}
	m, err := meta.ListAccessor(list)
	if err == nil {
		m.SetResourceVersion(strconv.Itoa(s.version))
	}
	return list, err
}

// Watch implements mirror.Client. It streams no lists.
func (s *Shelf[T, L]) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	from, err := strconv.Atoi(o.ResourceVersion)
	switch {
	case o.SendInitialEvents != nil:
		return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil)
	case err != nil:
		return nil, apierrors.NewBadRequest("a watch must begin somewhere")
	case from < s.oldest:
		return nil, apierrors.NewResourceExpired("too old resource version")
	}
	w := &watcher{options: o, events: make(chan watch.Event, 1<<15)}
	for _, e := range s.history[from-s.oldest:] {
		w.send(e)
	}
	w.leave = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.close()
		s.watchers = slices.DeleteFunc(s.watchers, func(other *watcher) bool { return other == w })
	}
	s.watchers = append(s.watchers, w)
	return w, nil
}

func (s *Shelf[T, L]) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.failure
}

func (s *Shelf[T, L]) send(e watch.Event) {
	s.history = append(s.history, e)
	for _, w := range s.watchers {
		w.send(e)
	}
}

func (s *Shelf[T, L]) closeWatches() {
	for _, w := range s.watchers {
		w.close()
	}
	s.watchers = nil
}

// selected knows the one field selector that there is for every kind.
func selected(o metav1.ListOptions, object metav1.Object) bool {
	want, ok := strings.CutPrefix(o.FieldSelector, "metadata.name=")
	return !ok || object.GetName() == want
}

type watcher struct {
	options metav1.ListOptions
	events  chan watch.Event
	closed  bool
	leave   func()
}

func (w *watcher) send(e watch.Event) {
	if object := e.Object.DeepCopyObject(); selected(w.options, object.(metav1.Object)) {
		w.events <- watch.Event{Type: e.Type, Object: object}
	}
}

func (w *watcher) close() {
	if !w.closed {
		w.closed = true
		close(w.events)
	}
}

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.leave() }

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.events }
