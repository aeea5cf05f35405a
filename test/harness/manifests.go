package harness

import (
	"fmt"
	"strings"
)

// Namespace is the one of all objects below.
const Namespace = "test"

// Documents puts YAML documents together.
func Documents(docs ...string) string { return strings.Join(docs, "\n---\n") }

// Broker is a Broker. Each of spec is a field of its spec, as YAML on one line:
// "delivery: {retry: 2}".
func Broker(name string, spec ...string) string {
	return object("eventing.knative.dev/v1", "Broker", name, spec)
}

// Trigger is a Trigger of a Broker, with a subscriber's URL.
func Trigger(name, broker, subscriber string, spec ...string) string {
	return object("eventing.knative.dev/v1", "Trigger", name, append([]string{
		"broker: " + broker,
		fmt.Sprintf("subscriber: {uri: %q}", subscriber),
	}, spec...))
}

// Channel is a channel of our own kind.
func Channel(name string, spec ...string) string {
	return object("messaging.knative.dev/v1alpha1", "LeatChannel", name, spec)
}

// Subscription is a Subscription of such a channel, with a subscriber's URL,
// or without a subscriber if that is empty.
func Subscription(name, channel, subscriber string, spec ...string) string {
	spec = append([]string{
		fmt.Sprintf("channel: {apiVersion: messaging.knative.dev/v1alpha1, kind: LeatChannel, name: %s}", channel),
	}, spec...)
	if subscriber != "" {
		spec = append(spec, fmt.Sprintf("subscriber: {uri: %q}", subscriber))
	}
	return object("messaging.knative.dev/v1", "Subscription", name, spec)
}

// Annotated adds annotations, such as "leat.dev/max-in-flight: '2'", to an
// object made by the functions above.
func Annotated(object string, annotations ...string) string {
	return strings.Replace(object, "\nspec:", fmt.Sprintf("\n  annotations: {%s}\nspec:", strings.Join(annotations, ", ")), 1)
}

func object(apiVersion, kind, name string, spec []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  namespace: %s\n  name: %s\nspec:", apiVersion, kind, Namespace, name)
	if len(spec) == 0 {
		b.WriteString(" {}")
	}
	for _, field := range spec {
		b.WriteString("\n  " + field)
	}
	return b.String()
}

// InNamespace moves an object made by the functions above to another namespace.
func InNamespace(namespace, object string) string {
	return strings.Replace(object, "\n  namespace: "+Namespace, "\n  namespace: "+namespace, 1)
}
