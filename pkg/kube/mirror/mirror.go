// Package mirror keeps a copy of all objects of one kind that an API server
// has, follows their changes, and tells when the API server cannot be read.
//
// It is client-go's reflector with a small store of our own instead of an
// informer. A new list replaces the old one in one step, and every failed
// request is seen here: an informer retries a refused connection without
// telling anybody, and waits up to a minute between two attempts.
package mirror

import (
	"context"
	"log/slog"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Object is a pointer to an API type.
type Object interface {
	comparable
	runtime.Object
	metav1.Object
}

// Client reads the objects of one kind, whose list is an L. The typed clients
// of client-go and its code generator are Clients.
type Client[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// Options of New. Kind is required.
type Options[T Object] struct {
	// Kind names the objects in logs, such as "Broker".
	Kind string
	// Selector restricts the objects to those whose fields it names.
	Selector string
	// Trim drops what nobody needs of an object before it is kept. It may be
	// called twice with an object.
	Trim func(T)
	// Changed is told of every change after it was made: old is nil for a new
	// object, now is nil for one that is gone. It must not block.
	Changed func(old, now T)
	// Unreadable is told, with no problem once all is well again, that the API
	// server could not be read for a while. It must not block.
	Unreadable func(problem string)
	// Log tells of failed requests. Nil is silent.
	Log *slog.Logger
}

// Mirror is the copy. Its objects must not be changed.
type Mirror[T Object] struct {
	reflector *cache.Reflector
	store     store[T]
	// close waits for what the reflector does not wait for.
	close func()
}

// New returns a Mirror that is empty until Run has read the objects.
func New[T Object, L runtime.Object](c Client[L], o Options[T]) *Mirror[T] {
	if o.Trim == nil {
		o.Trim = func(T) {}
	}
	if o.Changed == nil {
		o.Changed = func(_, _ T) {}
	}
	if o.Unreadable == nil {
		o.Unreadable = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Mirror[T]{store: store[T]{
		objects: map[types.NamespacedName]T{}, trim: o.Trim, changed: o.Changed, loaded: make(chan struct{}),
	}}
	r := &reader[L]{client: c, selector: o.Selector,
		health: health{kind: o.Kind, log: o.Log, tell: o.Unreadable}}
	m.close = r.close
	var expected T
	m.reflector = cache.NewReflectorWithOptions(r, expected, &m.store, cache.ReflectorOptions{
		Name: "leat", TypeDescription: o.Kind,
	})
	return m
}

// Run reads and follows the objects until ctx ends. It is called once.
func (m *Mirror[T]) Run(ctx context.Context) {
	m.reflector.RunWithContext(ctx)
	m.close()
}

// Loaded is closed once the objects have been read.
func (m *Mirror[T]) Loaded() <-chan struct{} { return m.store.loaded }

// List returns all objects, in no order.
func (m *Mirror[T]) List() []T {
	m.store.mu.RLock()
	defer m.store.mu.RUnlock()
	list := make([]T, 0, len(m.store.objects))
	for _, o := range m.store.objects {
		list = append(list, o)
	}
	return list
}

// Get returns the object of a name, nil if there is none.
func (m *Mirror[T]) Get(namespace, name string) T {
	m.store.mu.RLock()
	defer m.store.mu.RUnlock()
	return m.store.objects[types.NamespacedName{Namespace: namespace, Name: name}]
}
