package kubesource_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
	"leat.dev/leat/pkg/kube/mirror/mirrortest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/kubesource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const baseURL = "http://leat-ingress.knative-eventing.svc.cluster.local"

// cluster is the objects of an API server.
type cluster struct {
	brokers       *mirrortest.Shelf[*eventingv1.Broker, *eventingv1.BrokerList]
	triggers      *mirrortest.Shelf[*eventingv1.Trigger, *eventingv1.TriggerList]
	channels      *mirrortest.Shelf[*v1alpha1.LeatChannel, *v1alpha1.LeatChannelList]
	subscriptions *mirrortest.Shelf[*messagingv1.Subscription, *messagingv1.SubscriptionList]
}

func newCluster() *cluster {
	return &cluster{
		brokers: mirrortest.NewShelf[*eventingv1.Broker](eventingv1.SchemeGroupVersion.WithKind("Broker"),
			func() *eventingv1.BrokerList { return &eventingv1.BrokerList{} }),
		triggers: mirrortest.NewShelf[*eventingv1.Trigger](eventingv1.SchemeGroupVersion.WithKind("Trigger"),
			func() *eventingv1.TriggerList { return &eventingv1.TriggerList{} }),
		channels: mirrortest.NewShelf[*v1alpha1.LeatChannel](v1alpha1.SchemeGroupVersion.WithKind("LeatChannel"),
			func() *v1alpha1.LeatChannelList { return &v1alpha1.LeatChannelList{} }),
		subscriptions: mirrortest.NewShelf[*messagingv1.Subscription](messagingv1.SchemeGroupVersion.WithKind("Subscription"),
			func() *messagingv1.SubscriptionList { return &messagingv1.SubscriptionList{} }),
	}
}

func (c *cluster) clients() kubesource.Clients {
	return kubesource.Clients{Brokers: c.brokers, Triggers: c.triggers, Channels: c.channels, Subscriptions: c.subscriptions}
}

// world is a Source, its cluster and the tables that it has published.
type world struct {
	*cluster
	t      *testing.T
	source *kubesource.Source
	stop   func()
	log    bytes.Buffer

	mu     sync.Mutex
	tables []*routing.Table
	seen   int
	// slow is how long publishing a table takes.
	slow time.Duration
}

// inWorld runs a test in which time passes when all wait.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{cluster: newCluster(), t: t}
		var err error
		w.source, err = kubesource.New(kubesource.Options{
			Clients: w.clients(), BaseURL: baseURL, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		f(t, w)
	})
}

// run runs the Source until the test ends.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.source.Run(ctx, w.publish); err != nil {
			w.t.Error(err)
		}
	})
	w.stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(w.stop)
	synctest.Wait()
}

func (w *world) publish(t *routing.Table) {
	time.Sleep(w.slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tables = append(w.tables, t)
}

// table is the last table, which must be the only new one.
func (w *world) table() *routing.Table {
	w.t.Helper()
	w.wantTables(1)
	if len(w.tables) == 0 {
		w.t.FailNow()
	}
	return w.tables[len(w.tables)-1]
}

// wantTables compares the number of tables since the last call.
func (w *world) wantTables(n int) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := len(w.tables) - w.seen; got != n {
		w.t.Errorf("%d tables were published, want %d", got, n)
	}
	w.seen = len(w.tables)
	for i, t := range w.tables {
		if t.Generation != uint64(i+1) || !t.Complete {
			w.t.Errorf("table %d has generation %d, complete %v", i, t.Generation, t.Complete)
		}
	}
}

// skipTables has the tables so far count as seen.
func (w *world) skipTables() {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = len(w.tables)
}

// logged is the log so far.
func (w *world) logged() string {
	synctest.Wait()
	return w.log.String()
}

// rest lets so much time pass that a change is published at once.
func rest() { time.Sleep(time.Minute) }

// want compares streams with their routes, as "broker/ns/name: Kind/name Kind/name".
func want(t *testing.T, table *routing.Table, streams ...string) {
	t.Helper()
	var got []string
	for name, s := range table.Streams {
		line := name.String()
		for i, r := range s.Routes {
			if i == 0 {
				line += ":"
			}
			line += " " + r.Kind + "/" + r.Name
		}
		got = append(got, line)
	}
	slices.Sort(got)
	if !slices.Equal(got, streams) {
		t.Errorf("the streams are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(streams, "\n"))
	}
}

func wantProblems(t *testing.T, table *routing.Table, problems ...string) {
	t.Helper()
	var got []string
	for _, p := range table.Problems {
		got = append(got, p.String())
	}
	if !slices.Equal(got, problems) {
		t.Errorf("the problems are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(problems, "\n"))
	}
}

// Objects in a few words, as controllers leave them.

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}
}

func uri(s string) *apis.URL {
	u, err := apis.ParseURL(s)
	if err != nil {
		panic(err)
	}
	return u
}

// broker is a Broker shop/{name} of a class.
func broker(name, class string) *eventingv1.Broker {
	b := &eventingv1.Broker{ObjectMeta: meta("shop", name)}
	b.Annotations["eventing.knative.dev/broker.class"] = class
	return b
}

// trigger is a Trigger shop/{name} with a resolved subscriber.
func trigger(name, broker, subscriber string) *eventingv1.Trigger {
	t := &eventingv1.Trigger{ObjectMeta: meta("shop", name)}
	t.Spec.Broker = broker
	t.Status.SubscriberURI = uri(subscriber)
	return t
}

// channel is a LeatChannel shop/{name}; each subscriber has the URI http://{subscriber}.
func channel(name string, subscribers ...string) *v1alpha1.LeatChannel {
	c := &v1alpha1.LeatChannel{ObjectMeta: meta("shop", name)}
	for _, s := range subscribers {
		c.Spec.Subscribers = append(c.Spec.Subscribers, eventingduckv1.SubscriberSpec{
			Name: ptr.To(s), UID: types.UID("uid-" + s), SubscriberURI: uri("http://" + s),
		})
	}
	return c
}

// subscription is the object of a channel's subscriber.
func subscription(name, kind string) *messagingv1.Subscription {
	s := &messagingv1.Subscription{ObjectMeta: meta("shop", name)}
	s.Spec.Channel = duckv1.KReference{APIVersion: "messaging.knative.dev/v1", Kind: kind, Name: "jobs"}
	return s
}

// triggers are n Triggers of a Broker, named prefix-000 and so on, as large as
// those of a cluster.
func triggers(n int, prefix, broker string) []*eventingv1.Trigger {
	list := make([]*eventingv1.Trigger, n)
	for i := range list {
		t := trigger(fmt.Sprintf("%s-%03d", prefix, i), broker, fmt.Sprintf("http://service-%d.shop.svc.cluster.local/path", i))
		t.Spec.Filter = &eventingv1.TriggerFilter{Attributes: eventingv1.TriggerFilterAttributes{
			"type": fmt.Sprintf("com.example.type.%d", i), "source": "/orders",
		}}
		t.Spec.Subscriber = duckv1.Destination{Ref: &duckv1.KReference{
			APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: fmt.Sprintf("service-%d", i),
		}}
		t.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = strings.Repeat("x", 500)
		t.ManagedFields = []metav1.ManagedFieldsEntry{
			{Manager: "kubectl", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:a":"` + strings.Repeat("x", 1000) + `"}`)}},
		}
		for _, c := range []apis.ConditionType{
			"Ready", "BrokerReady", "SubscriptionReady", "DependencyReady", "SubscriberResolved", "DeadLetterSinkResolved",
		} {
			t.Status.Conditions = append(t.Status.Conditions, apis.Condition{Type: c, Status: "True"})
		}
		list[i] = t
	}
	return list
}

// sinkAt is the delivery of a subscriber whose dead letter sink is resolved.
func sinkAt(url string) *eventingduckv1.DeliverySpec {
	return &eventingduckv1.DeliverySpec{Retry: ptr.To[int32](1), DeadLetterSink: &duckv1.Destination{URI: uri(url)}}
}
