package main

import (
	"fmt"
	"strings"
)

// routes are the Triggers of a Broker.
type routes struct {
	// total Triggers, of which match get every event and the others none. The
	// matching ones are the first.
	total, match int
	// filter is the YAML of a matching Trigger's filter or filters, indented by
	// two; empty is an exact type in attributes. Those that do not match have
	// other types.
	filter string
	// annotations and delivery are of every Trigger, YAML on one line.
	annotations, delivery string
}

// triggersPerFile keeps a file below the 4 MiB that leat reads.
const triggersPerFile = 5000

// brokerManifest is the Broker of all measurements.
const brokerManifest = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: bench}\n"

// brokerPath is where its events go.
const brokerPath = "/default/bench"

// manifests are the files of the Broker and the Triggers, whose subscribers are
// paths under the URL.
func (r routes) manifests(subscriber string) []string {
	files := []string{brokerManifest}
	for first := 0; first < r.total; first += triggersPerFile {
		var file strings.Builder
		for i := first; i < min(r.total, first+triggersPerFile); i++ {
			file.WriteString(r.trigger(i, subscriber))
		}
		files = append(files, file.String())
	}
	return files
}

func (r routes) trigger(i int, subscriber string) string {
	filter := r.filter
	switch {
	case i >= r.match:
		filter = fmt.Sprintf("filter: {attributes: {type: dev.leat.other.%d}}", i)
	case filter == "":
		filter = "filter: {attributes: {type: " + eventType + "}}"
	}
	t := fmt.Sprintf("---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: t%d\n", i)
	if r.annotations != "" {
		t += "  annotations: " + r.annotations + "\n"
	}
	t += fmt.Sprintf("spec:\n  broker: bench\n  %s\n  subscriber: {uri: %q}\n", filter, subscriber+routePath(i))
	if r.delivery != "" {
		t += "  delivery: " + r.delivery + "\n"
	}
	return t
}
