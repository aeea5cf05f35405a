package mirror

import (
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// store is what the reflector writes to, from one goroutine.
type store[T Object] struct {
	trim    func(T)
	changed func(old, now T)
	// loaded is closed by the first Replace.
	loaded chan struct{}
	once   sync.Once

	mu      sync.RWMutex
	objects map[types.NamespacedName]T
}

var _ cache.TransformingStore = (*store[*metav1.PartialObjectMetadata])(nil)

// Transformer trims objects as they are read, so that a long list is never in
// memory untrimmed.
func (s *store[T]) Transformer() cache.TransformFunc {
	return func(o any) (any, error) {
		if t, ok := o.(T); ok {
			s.trim(t)
		}
		return o, nil
	}
}

// Add takes an object in.
func (s *store[T]) Add(o any) error {
	now, err := s.object(o)
	if err != nil {
		return err
	}
	s.trim(now)
	s.mu.Lock()
	old := s.objects[name(now)]
	s.objects[name(now)] = now
	s.mu.Unlock()
	s.tell(old, now)
	return nil
}

// Update takes the new version of an object in.
func (s *store[T]) Update(o any) error { return s.Add(o) }

// Delete drops an object.
func (s *store[T]) Delete(o any) error {
	gone, err := s.object(o)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.objects[name(gone)]
	delete(s.objects, name(gone))
	s.mu.Unlock()
	var none T
	s.tell(old, none)
	return nil
}

// Replace takes in a whole list, in one step.
func (s *store[T]) Replace(list []any, _ string) error {
	fresh := make(map[types.NamespacedName]T, len(list))
	for _, o := range list {
		now, err := s.object(o)
		if err != nil {
			return err
		}
		s.trim(now)
		fresh[name(now)] = now
	}
	s.mu.Lock()
	old := s.objects
	s.objects = fresh
	s.mu.Unlock()
	s.once.Do(func() { close(s.loaded) })
	var none T
	for n, now := range fresh {
		s.tell(old[n], now)
	}
	for n, o := range old {
		if fresh[n] == none {
			s.tell(o, none)
		}
	}
	return nil
}

// Resync does nothing: what was told once stays true.
func (*store[T]) Resync() error { return nil }

func (s *store[T]) object(o any) (T, error) {
	t, ok := o.(T)
	if !ok {
		return t, fmt.Errorf("the API server sent a %T instead of a %T", o, t)
	}
	return t, nil
}

// tell tells of a change, which a version that is already there is none.
func (s *store[T]) tell(old, now T) {
	var none T
	if old == now || (old != none && now != none && now.GetResourceVersion() != "" &&
		old.GetResourceVersion() == now.GetResourceVersion()) {
		return
	}
	s.changed(old, now)
}

func name(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
