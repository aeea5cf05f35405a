package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"leat.dev/leat/pkg/kube/mirror"
	"leat.dev/leat/pkg/kube/mirror/mirrortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type shelf = mirrortest.Shelf[*corev1.ConfigMap, *corev1.ConfigMapList]

// world is a mirror of ConfigMaps in namespace ns, and what it tells.
type world struct {
	t      *testing.T
	shelf  *shelf
	mirror *mirror.Mirror[*corev1.ConfigMap]
	log    bytes.Buffer

	mu      sync.Mutex
	changes []string
	problem string
}

func newShelf() *shelf {
	return mirrortest.NewShelf[*corev1.ConfigMap](corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		func() *corev1.ConfigMapList { return &corev1.ConfigMapList{} })
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"a": "b"}},
		Data:       map[string]string{"value": value},
	}
}

// inWorld runs a test in which time passes when all wait.
func inWorld(t *testing.T, selector string, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, shelf: newShelf()}
		w.mirror = w.mirrors(w.shelf, selector)
		f(t, w)
	})
}

func (w *world) mirrors(c mirror.Client[*corev1.ConfigMapList], selector string) *mirror.Mirror[*corev1.ConfigMap] {
	return mirror.New(c, mirror.Options[*corev1.ConfigMap]{
		Kind: "ConfigMap", Selector: selector,
		Log:  slog.New(slog.NewTextHandler(&w.log, nil)),
		Trim: func(c *corev1.ConfigMap) { c.Labels = nil },
		Changed: func(old, now *corev1.ConfigMap) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, value(old)+">"+value(now))
		},
		Unreadable: func(problem string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.problem = problem
		},
	})
}

// run runs the mirror until the test ends.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.mirror.Run(ctx) })
	w.t.Cleanup(func() { cancel(); running.Wait() })
	synctest.Wait()
}

func (w *world) loaded() bool {
	select {
	case <-w.mirror.Loaded():
		return true
	default:
		return false
	}
}

func value(c *corev1.ConfigMap) string {
	if c == nil {
		return "-"
	}
	return c.Name + "=" + c.Data["value"]
}

// want compares the objects and what was told of them since the last time.
func (w *world) want(objects, changes []string) {
	w.t.Helper()
	synctest.Wait()
	var got []string
	for _, c := range w.mirror.List() {
		got = append(got, value(c))
		if c.Labels != nil {
			w.t.Errorf("%s was not trimmed", c.Name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, objects) {
		w.t.Errorf("the objects are %q, want %q", got, objects)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.changes)
	if !slices.Equal(w.changes, changes) {
		w.t.Errorf("the changes are %q, want %q", w.changes, changes)
	}
	w.changes = nil
}

func (w *world) wantProblem(part string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if part == "" && w.problem != "" || !strings.Contains(w.problem, part) {
		w.t.Errorf("the problem is %q, want one with %q", w.problem, part)
	}
}

func TestFollowsChanges(t *testing.T) {
	inWorld(t, "", func(t *testing.T, w *world) {
		w.shelf.Put(configMap("a", "1"), configMap("b", "1"))
		w.run()
		if !w.loaded() {
			t.Fatal("nothing was read")
		}
		w.want([]string{"a=1", "b=1"}, []string{"->a=1", "->b=1"})
		w.shelf.Put(configMap("a", "2"))
		w.shelf.Delete("ns", "b")
		w.want([]string{"a=2"}, []string{"a=1>a=2", "b=1>-"})
		if got := w.mirror.Get("ns", "a"); value(got) != "a=2" {
			t.Errorf("a is %q", value(got))
		}
		if got := w.mirror.Get("ns", "b"); got != nil {
			t.Errorf("b is there: %q", value(got))
		}
	})
}

func TestNothingIsSomething(t *testing.T) {
	inWorld(t, "", func(t *testing.T, w *world) {
		w.run()
		if !w.loaded() {
			t.Error("an empty list was not read")
		}
	})
}

func TestSelector(t *testing.T) {
	inWorld(t, "metadata.name=a", func(_ *testing.T, w *world) {
		w.shelf.Put(configMap("a", "1"), configMap("b", "1"))
		w.run()
		w.want([]string{"a=1"}, []string{"->a=1"})
		w.shelf.Put(configMap("b", "2"), configMap("a", "2"))
		w.want([]string{"a=2"}, []string{"a=1>a=2"})
	})
}

// What is deleted while the watch is broken and its place forgotten is found
// missing in the next list.
func TestListsAgain(t *testing.T) {
	inWorld(t, "", func(t *testing.T, w *world) {
		w.shelf.Put(configMap("a", "1"), configMap("b", "1"), configMap("c", "1"))
		w.run()
		w.want([]string{"a=1", "b=1", "c=1"}, []string{"->a=1", "->b=1", "->c=1"})
		w.shelf.Fail(errors.New("connection refused"))
		w.shelf.Delete("ns", "b")
		w.shelf.Put(configMap("c", "2"), configMap("d", "1"))
		w.shelf.Forget()
		w.shelf.Fail(nil)
		time.Sleep(10 * time.Second)
		w.want([]string{"a=1", "c=2", "d=1"}, []string{"->d=1", "b=1>-", "c=1>c=2"})
		if w.shelf.Lists() < 2 {
			t.Error("there was no second list")
		}
	})
}

func TestAPIServerAway(t *testing.T) {
	inWorld(t, "", func(t *testing.T, w *world) {
		w.shelf.Put(configMap("a", "1"))
		w.run()
		w.want([]string{"a=1"}, []string{"->a=1"})
		w.shelf.Fail(errors.New("connection refused"))
		time.Sleep(3 * time.Second)
		w.wantProblem("") // it may just restart
		w.shelf.Put(configMap("a", "2"))
		time.Sleep(10 * time.Minute)
		w.want([]string{"a=1"}, nil)
		w.wantProblem("connection refused")
		w.shelf.Fail(nil)
		time.Sleep(8 * time.Second)
		w.want([]string{"a=2"}, []string{"a=1>a=2"})
		w.wantProblem("")
		text := w.log.String()
		if n := strings.Count(text, "level=WARN"); n < 5 || n > 15 {
			t.Errorf("%d warnings in ten minutes:\n%s", n, text)
		}
		if n := strings.Count(text, "can be read again"); n != 1 {
			t.Errorf("its return is told %d times:\n%s", n, text)
		}
		w.shelf.Fail(errors.New("once more"))
		time.Sleep(20 * time.Second)
		w.wantProblem("once more")
	})
}

// What an administrator has forgotten can be made good without a restart.
func TestNotPermittedYet(t *testing.T) {
	resource := schema.GroupResource{Group: "messaging.knative.dev", Resource: "leatchannels"}
	for hint, err := range map[string]error{
		"CustomResourceDefinition":                      apierrors.NewNotFound(resource, ""),
		"give the ServiceAccount a role that may list":  apierrors.NewForbidden(resource, "", errors.New("no")),
		"check the token of the ServiceAccount":         apierrors.NewUnauthorized("no"),
		"the server was unable to return a response in": apierrors.NewTimeoutError("the server was unable to return a response in time", 1),
	} {
		inWorld(t, "", func(t *testing.T, w *world) {
			w.shelf.Put(configMap("a", "1"))
			w.shelf.Fail(err)
			w.run()
			time.Sleep(time.Hour)
			w.wantProblem(hint)
			if w.loaded() {
				t.Error("it says that it has read what it cannot read")
			}
			w.shelf.Fail(nil)
			time.Sleep(8 * time.Second)
			w.want([]string{"a=1"}, []string{"->a=1"})
			w.wantProblem("")
		})
	}
}

func TestOverHTTP(t *testing.T) {
	w := &world{t: t, shelf: newShelf()}
	w.shelf.Put(configMap("a", "1"))
	server := httptest.NewServer(mirrortest.Serve(map[string]http.Handler{"configmaps": w.shelf}))
	api, err := mirror.NewAPI(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	client, err := mirror.NewClient(api, mirror.Resource[*corev1.ConfigMap, *corev1.ConfigMapList]{
		Group: corev1.SchemeGroupVersion, Name: "configmaps", Namespace: "ns",
		New:     func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		NewList: func() *corev1.ConfigMapList { return &corev1.ConfigMapList{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.mirror = w.mirrors(client, "")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.mirror.Run(ctx) })
	defer func() { cancel(); running.Wait(); api.HTTP.CloseIdleConnections(); server.Close() }()
	<-w.mirror.Loaded()
	w.shelf.Put(configMap("a", "2"))
	w.shelf.Put(configMap("b", "1"))
	for deadline := time.Now().Add(10 * time.Second); value(w.mirror.Get("ns", "b")) != "b=1"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("b does not come:\n%s", w.log.String())
		}
	}
	if got := value(w.mirror.Get("ns", "a")); got != "a=2" {
		t.Errorf("a is %q", got)
	}
}
