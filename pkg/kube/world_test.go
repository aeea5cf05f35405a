package kube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/kube"
	"leat.dev/leat/pkg/kube/mirror/mirrortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an API server, a subscriber, and a dispatcher.
type world struct {
	t          *testing.T
	configMaps *mirrortest.Shelf[*corev1.ConfigMap, *corev1.ConfigMapList]
	brokers    *mirrortest.Shelf[*eventingv1.Broker, *eventingv1.BrokerList]
	triggers   *mirrortest.Shelf[*eventingv1.Trigger, *eventingv1.TriggerList]
	channels   *mirrortest.Shelf[*v1alpha1.LeatChannel, *v1alpha1.LeatChannelList]

	kubeconfig, status, subscriber string
	received                       chan string
	log                            buffer
	exit                           chan int
	cancel                         func()
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newWorld has the Broker shop/orders with the Trigger billing, which leads to
// the subscriber.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, received: make(chan string, 100), exit: make(chan int, 1), status: freeAddress(t),
		configMaps: mirrortest.NewShelf[*corev1.ConfigMap](corev1.SchemeGroupVersion.WithKind("ConfigMap"),
			func() *corev1.ConfigMapList { return &corev1.ConfigMapList{} }),
		brokers: mirrortest.NewShelf[*eventingv1.Broker](eventingv1.SchemeGroupVersion.WithKind("Broker"),
			func() *eventingv1.BrokerList { return &eventingv1.BrokerList{} }),
		triggers: mirrortest.NewShelf[*eventingv1.Trigger](eventingv1.SchemeGroupVersion.WithKind("Trigger"),
			func() *eventingv1.TriggerList { return &eventingv1.TriggerList{} }),
		channels: mirrortest.NewShelf[*v1alpha1.LeatChannel](v1alpha1.SchemeGroupVersion.WithKind("LeatChannel"),
			func() *v1alpha1.LeatChannelList { return &v1alpha1.LeatChannelList{} }),
	}
	subscriptions := mirrortest.NewShelf[*messagingv1.Subscription](messagingv1.SchemeGroupVersion.WithKind("Subscription"),
		func() *messagingv1.SubscriptionList { return &messagingv1.SubscriptionList{} })
	api := httptest.NewServer(mirrortest.Serve(map[string]http.Handler{
		"configmaps": w.configMaps, "brokers": w.brokers, "triggers": w.triggers, "leatchannels": w.channels, "subscriptions": subscriptions,
	}))
	t.Cleanup(api.Close)
	w.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n"+
		"clusters: [{name: c, cluster: {server: %q}}]\n", api.URL)
	if err := os.WriteFile(w.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	subscriber := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.received <- r.URL.Path + " " + r.Header.Get("Ce-Id")
	}))
	t.Cleanup(subscriber.Close)
	w.subscriber = subscriber.URL
	b := &eventingv1.Broker{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: "b1"}}
	b.Annotations = map[string]string{"eventing.knative.dev/broker.class": "Leat"}
	w.brokers.Put(b)
	w.trigger("billing")
	return w
}

// freeAddress is one that nobody listens on now.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// trigger puts a Trigger of shop/orders that leads to /{name} of the subscriber.
func (w *world) trigger(name string) {
	tr := &eventingv1.Trigger{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "t1"}}
	tr.Spec.Broker = "orders"
	url, err := apis.ParseURL(w.subscriber + "/" + name)
	if err != nil {
		w.t.Fatal(err)
	}
	tr.Status.SubscriberURI = url
	w.triggers.Put(tr)
}

func (w *world) configMap(name, key, value string) {
	w.configMaps.Put(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "knative-eventing", Name: name}, Data: map[string]string{key: value},
	})
}

// fail makes the API server fail, or be well again.
func (w *world) fail(err error) {
	for _, shelf := range []interface{ Fail(error) }{w.configMaps, w.brokers, w.triggers, w.channels} {
		shelf.Fail(err)
	}
}

// start runs a dispatcher until the test ends.
func (w *world) start() {
	w.t.Setenv("SYSTEM_NAMESPACE", "knative-eventing")
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(w.t.Context())
	data := w.t.TempDir()
	go func() {
		w.exit <- kube.Main(ctx, "test", []string{
			"--kubeconfig", w.kubeconfig, "--data", data, "--status", w.status, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		}, &w.log)
	}()
	w.t.Cleanup(func() {
		w.cancel()
		if code := <-w.exit; code != 0 {
			w.t.Errorf("the exit code is %d:\n%s", code, w.log.String())
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

// serving waits until the dispatcher serves, and returns that line of its log.
func (w *world) serving() map[string]any {
	w.t.Helper()
	return w.logged("serving")
}

// logged waits for a line of the log with a message.
func (w *world) logged(msg string) map[string]any {
	w.t.Helper()
	var found map[string]any
	w.eventually("the log has "+msg, func() bool {
		for line := range strings.Lines(w.log.String()) {
			fields := map[string]any{}
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				w.t.Fatalf("a line of the log is no JSON: %s", line)
			}
			if fields["msg"] == msg {
				found = fields
				return true
			}
		}
		return false
	})
	return found
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("it never is so that %s:\n%s", what, w.log.String())
		}
	}
}

// get is the code and the body of a GET, or the error as a body.
func get(url string) (int, string) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// send sends an event to shop/orders and waits until the subscriber has it.
func (w *world) send(listen, id, path string) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+listen+"/shop/orders", strings.NewReader("{}"))
	if err != nil {
		w.t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Ce-Id": id, "Ce-Source": "/test", "Ce-Type": "test", "Ce-Specversion": "1.0", "Content-Type": "application/json",
	} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		w.t.Fatalf("an event got %s", resp.Status)
	}
	select {
	case got := <-w.received:
		if got != path+" "+id {
			w.t.Errorf("the subscriber received %q, want %q", got, path+" "+id)
		}
	case <-time.After(20 * time.Second):
		w.t.Fatalf("the event was not delivered:\n%s", w.log.String())
	}
}
