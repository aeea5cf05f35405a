package broker

import (
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/ptr"
	rtesting "knative.dev/pkg/reconciler/testing"

	"leat.dev/leat/pkg/reconciler/dataplane"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing/build"
)

func configured(kind, namespace, name string) func(*eventingv1.Broker) {
	apiVersion := "v1"
	if kind != "ConfigMap" {
		apiVersion = "example.dev/v1"
	}
	return func(b *eventingv1.Broker) {
		b.Spec.Config = &duckv1.KReference{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name}
	}
}

var (
	options = map[string]string{"retention": "48h", "max-in-flight": "7", "delivery-order": "ordered", "start": "earliest"}
	// optioned are the annotations that options become.
	optioned = map[string]string{
		"leat.dev/retention": "48h", "leat.dev/max-in-flight": "7",
		"leat.dev/delivery-order": "ordered", "leat.dev/start": "earliest",
	}
	foreign = map[string]string{"other.dev/x": "kept", "leat.dev/unknown": "kept"}
)

func with(m map[string]string, more map[string]string) map[string]string {
	all := make(map[string]string)
	for _, from := range []map[string]string{m, more} {
		for k, v := range from {
			all[k] = v
		}
	}
	return all
}

// mending is the time until a ConfigMap with a mistake is read again.
const mending = 10 * time.Second

func TestConfigOfBroker(t *testing.T) {
	own := configured("ConfigMap", ns, "options")
	for _, r := range []row{
		{Row: rt.Row{Again: time.Minute, TableRow: rtesting.TableRow{
			Name:    "options go into the status",
			Objects: objects(broker(own, statusAnnotated(foreign)), rt.ConfigMap(ns, "options", options)),
			WantStatusUpdates: rt.StatusUpdate(
				broker(own, reconciled(), statusAnnotated(with(foreign, optioned)))),
		}}},
		{Row: rt.Row{Again: time.Minute, TableRow: rtesting.TableRow{
			Name: "in the Broker's namespace if the reference has none",
			Objects: objects(broker(configured("ConfigMap", "", "options")),
				rt.ConfigMap(ns, "options", map[string]string{"start": "earliest"})),
			WantStatusUpdates: rt.StatusUpdate(broker(configured("ConfigMap", "", "options"), reconciled(),
				statusAnnotated(map[string]string{"leat.dev/start": "earliest"}))),
		}}},
		{Row: rt.Row{Again: time.Minute, TableRow: rtesting.TableRow{
			Name:              "options that are not there any more",
			Objects:           objects(broker(own, reconciled(), statusAnnotated(with(foreign, optioned))), rt.ConfigMap(ns, "options", nil)),
			WantStatusUpdates: rt.StatusUpdate(broker(own, reconciled(), statusAnnotated(foreign))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "no config any more",
			Objects:           objects(broker(reconciled(), statusAnnotated(with(foreign, optioned)))),
			WantStatusUpdates: rt.StatusUpdate(broker(reconciled(), statusAnnotated(foreign))),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name: "that of a channel-based Broker, which core gives to all, is not read again",
			Objects: objects(broker(configured("ConfigMap", "knative-testing", "config-br-default-channel")),
				rt.ConfigMap("knative-testing", "config-br-default-channel", map[string]string{"channel-template-spec": "kind: InMemoryChannel"})),
			WantStatusUpdates: rt.StatusUpdate(broker(configured("ConfigMap", "knative-testing", "config-br-default-channel"), reconciled())),
		}}},
	} {
		r.run(t)
	}
}

func TestMistakesInConfigOfBroker(t *testing.T) {
	own, other := configured("ConfigMap", ns, "options"), configured("ConfigMap", "their-secrets", "options")
	kafka := configured("Kafka", ns, "options")
	_, invalid := build.BrokerOptions(map[string]string{"retention": "for ever"})
	if invalid == nil {
		t.Fatal("a retention of for ever is taken")
	}
	tooBusy := func(action clientgotesting.Action) (bool, runtime.Object, error) {
		return action.GetVerb() == "get", nil, apierrors.NewTooManyRequests("busy", 1)
	}
	forbidden := func(action clientgotesting.Action) (bool, runtime.Object, error) {
		return action.GetVerb() == "get", nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "options", nil)
	}
	keeps := statusAnnotated(with(foreign, optioned))
	mistake := func(name string, config func(*eventingv1.Broker), reason, message string, again time.Duration, more ...runtime.Object) row {
		return row{Row: rt.Row{Again: again, TableRow: rtesting.TableRow{
			Name:              name,
			Objects:           append(objects(broker(config, reconciled(), keeps)), more...),
			WantStatusUpdates: rt.StatusUpdate(broker(config, failing("ConfigReady", "False", reason, message), keeps)),
			WantEvents:        []string{"Warning " + reason + " " + message},
		}}}
	}
	denied := mistake("may not be read", own, "ConfigNotReadable",
		`The ConfigMap shop/options cannot be read: configmaps "options" is forbidden: <nil>`, mending)
	denied.WithReactors = []clientgotesting.ReactionFunc{forbidden}
	for _, r := range []row{
		mistake("of another kind", kafka, "ConfigKindNotSupported",
			"spec.config is a Kafka of example.dev/v1, but Leat takes its options from a ConfigMap of v1.", 0),
		mistake("does not exist", own, "ConfigNotFound", "There is no ConfigMap shop/options.", mending),
		mistake("has a bad value", own, "ConfigInvalid", "The ConfigMap shop/options is not taken: "+invalid.Error(), mending,
			rt.ConfigMap(ns, "options", map[string]string{"retention": "for ever"})),
		mistake("of a namespace that the user may not be allowed to read", other, "ConfigNotAllowed",
			"spec.config is the ConfigMap their-secrets/options, but it must be in the Broker's own namespace or in knative-testing.",
			0, rt.ConfigMap("their-secrets", "options", map[string]string{"password": "hunter2"})),
		denied,
		{Row: rt.Row{Again: dataplane.Soon, TableRow: rtesting.TableRow{
			Name:         "cannot be read now",
			Objects:      objects(broker(own, reconciled(), keeps)),
			WithReactors: []clientgotesting.ReactionFunc{tooBusy},
		}}},
		{Row: rt.Row{Again: dataplane.Soon, TableRow: rtesting.TableRow{
			Name:         "could not be read yet",
			Objects:      objects(broker(own)),
			WithReactors: []clientgotesting.ReactionFunc{tooBusy},
			WantStatusUpdates: rt.StatusUpdate(broker(own,
				failing("ConfigReady", "Unknown", "ConfigNotReadable", "The ConfigMap shop/options cannot be read now."))),
		}}},
	} {
		r.run(t)
	}
}

func TestMistakesInAnnotationsOfBroker(t *testing.T) {
	wrong := annotated(map[string]string{"leat.dev/retention": "for ever"})
	_, problems := build.Streams(build.Input{Brokers: []*eventingv1.Broker{broker(wrong)}}, build.Options{})
	if len(problems) != 1 {
		t.Fatalf("a retention of for ever has the problems %v", problems)
	}
	row{Row: rt.Row{TableRow: rtesting.TableRow{
		Name:              "told, but ready",
		Objects:           objects(broker(wrong)),
		WantStatusUpdates: rt.StatusUpdate(broker(wrong, reconciled(rt.Condition("ConfigReady", "True", "OptionIgnored", problems[0].Reason)))),
		WantEvents:        []string{"Warning OptionIgnored " + problems[0].Reason},
	}}}.run(t)
}

const brDefaults = `
clusterDefault:
  brokerClass: MTChannelBasedBroker
  apiVersion: v1
  kind: ConfigMap
  name: config-br-default-channel
  namespace: knative-eventing
  delivery: {retry: 10, backoffPolicy: exponential, backoffDelay: PT0.2S, timeout: PT1S}
  brokerClasses:
    Leat:
      apiVersion: v1
      kind: ConfigMap
      name: leat-options
      namespace: platform
      delivery:
        retry: 3
        timeout: PT30S
        retryAfterMax: PT2M
        format: json
        deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}}
namespaceDefaults:
  bare:
    brokerClass: Leat
    delivery: {timeout: PT9S}
`

// inherited is what core's webhook writes for brDefaults, and forgotten what it
// forgets.
func inherited(edits ...func(*eventingduckv1.DeliverySpec)) func(*eventingv1.Broker) {
	d := sink(coreService, ns, "dead")
	d.Retry = ptr.Int32(3)
	for _, edit := range edits {
		edit(d)
	}
	return withDelivery(d)
}

var forgottenFields = map[string]string{
	"leat.dev/delivery-timeout": "PT30S", "leat.dev/delivery-retry-after-max": "PT2M", "leat.dev/delivery-format": "json",
}

func TestDeliveryDefaultsOfBroker(t *testing.T) {
	resolved := func(b *eventingv1.Broker) {
		reconciled(rt.Condition("DeadLetterSinkResolved", "True", "", ""))(b)
		b.Status.DeadLetterSinkURI = serviceURL("dead")
	}
	generation := func(g int64) func(*eventingv1.Broker) { return func(b *eventingv1.Broker) { b.Generation = g } }
	changed := strings.Replace(brDefaults, "retry: 3", "retry: 4", 1)
	without := strings.Replace(brDefaults, "format: json", "", 1)
	own := inherited(func(d *eventingduckv1.DeliverySpec) { d.Retry = ptr.Int32(5) })
	ownTimeout := inherited(func(d *eventingduckv1.DeliverySpec) { d.Timeout = ptr.String("PT5S") })
	for _, r := range []row{
		{defaults: brDefaults, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "what core forgot",
			Objects:           objects(broker(inherited(), statusAnnotated(foreign)), rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(broker(inherited(), resolved, statusAnnotated(with(foreign, forgottenFields)))),
		}}},
		{defaults: without, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "follow the ConfigMap",
			Objects: objects(broker(inherited(), resolved, statusAnnotated(forgottenFields)), rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(broker(inherited(), resolved, statusAnnotated(map[string]string{
				"leat.dev/delivery-timeout": "PT30S", "leat.dev/delivery-retry-after-max": "PT2M",
			}))),
		}}},
		{defaults: changed, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "of a Broker made with earlier defaults stay, as its spec does",
			Objects: objects(broker(inherited(), resolved, statusAnnotated(forgottenFields)), rt.Service(ns, "dead")),
		}}},
		{Row: rt.Row{TableRow: rtesting.TableRow{
			Name:    "stay while config-br-defaults is not there",
			Objects: objects(broker(inherited(), resolved, statusAnnotated(forgottenFields)), rt.Service(ns, "dead")),
		}}},
		{defaults: brDefaults, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "are not for a delivery of the user's own",
			Objects:           objects(broker(own), rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(broker(own, resolved)),
		}}},
		{defaults: brDefaults, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "are not for a delivery that became the user's own",
			Objects:           objects(broker(own, resolved, generation(2), statusAnnotated(forgottenFields)), rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(broker(own, generation(2), resolved)),
		}}},
		{defaults: brDefaults, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "are not for a delivery with a field that core does not copy",
			Objects:           objects(broker(ownTimeout), rt.Service(ns, "dead")),
			WantStatusUpdates: rt.StatusUpdate(broker(ownTimeout, resolved)),
		}}},
		{defaults: brDefaults, Row: rt.Row{TableRow: rtesting.TableRow{
			Name:              "are not for a Broker without delivery",
			Objects:           objects(broker()),
			WantStatusUpdates: rt.StatusUpdate(broker(reconciled())),
		}}},
	} {
		r.run(t)
	}
}

// A Broker that names its own config gets the delivery that core finds under
// the config's kind, which is nobody's class.
func TestDeliveryDefaultsOfBrokerWithConfig(t *testing.T) {
	policy := eventingduckv1.BackoffPolicyExponential
	delivery := withDelivery(&eventingduckv1.DeliverySpec{
		Retry: ptr.Int32(10), BackoffPolicy: &policy, BackoffDelay: ptr.String("PT0.2S"),
	})
	config := configured("ConfigMap", "platform", "leat-options")
	row{defaults: brDefaults, Row: rt.Row{Again: time.Minute, TableRow: rtesting.TableRow{
		Name:    "the cluster's, and the ConfigMap that config-br-defaults names may be anywhere",
		Objects: objects(broker(delivery, config), rt.ConfigMap("platform", "leat-options", map[string]string{"start": "earliest"})),
		WantStatusUpdates: rt.StatusUpdate(broker(delivery, config, reconciled(), statusAnnotated(map[string]string{
			"leat.dev/delivery-timeout": "PT1S", "leat.dev/start": "earliest",
		}))),
	}}}.run(t)
}
