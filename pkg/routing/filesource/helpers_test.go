package filesource

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"leat.dev/leat/pkg/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSource(t *testing.T, dir string) *Source {
	t.Helper()
	s, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// folderOf is a folder without a disk: contents by path. An error stands for a
// file that cannot be read.
func folderOf(contents map[string]any) snapshot {
	var s snapshot
	for _, path := range slices.Sorted(maps.Keys(contents)) {
		f := file{path: path}
		switch content := contents[path].(type) {
		case string:
			f.data = []byte(content)
			f.hash = sha256.Sum256(f.data)
		case error:
			f.err = content
		}
		s.files = append(s.files, f)
	}
	return s
}

// scenario feeds a Source with folders at times that the test sets.
type scenario struct {
	t      *testing.T
	tables *tables
	now    time.Time
	table  *routing.Table // the newest one
}

func begin(t *testing.T) *scenario {
	return &scenario{
		t: t, now: time.Unix(1000, 0),
		tables: &tables{source: newSource(t, "m"), memory: newMemory()},
	}
}

// see shows a folder after some time and says whether a table was published.
func (s *scenario) see(after time.Duration, contents map[string]any) bool {
	s.now = s.now.Add(after)
	table, _ := s.tables.next(folderOf(contents), s.now)
	if table != nil {
		s.table = table
	}
	return table != nil
}

// want compares streams with their routes, as "broker/ns/name: id id".
func (s *scenario) want(complete bool, streams ...string) {
	s.t.Helper()
	if got := outline(s.table); !slices.Equal(got, streams) {
		s.t.Errorf("the streams are %q, want %q", got, streams)
	}
	if s.table.Complete != complete {
		s.t.Errorf("complete is %v, want %v", s.table.Complete, complete)
	}
}

func (s *scenario) wantProblems(want ...string) {
	s.t.Helper()
	if got := problems(s.table); !slices.Equal(got, want) {
		s.t.Errorf("the problems are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func outline(t *routing.Table) []string {
	var list []string
	for name, stream := range t.Streams {
		line := name.String()
		for i, r := range stream.Routes {
			if i == 0 {
				line += ":"
			}
			line += " " + r.ID
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

func problems(t *routing.Table) []string {
	var list []string
	for _, p := range t.Problems {
		list = append(list, p.String())
	}
	return list
}

// Manifests in a few words, in namespace default.

func brokerYAML(name string) string {
	return fmt.Sprintf("---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: %s}\n", name)
}

// triggerYAML is a Trigger of a Broker. spec goes on where its spec ends.
func triggerYAML(name, broker, spec string) string {
	if spec == "" {
		spec = "subscriber: {uri: http://localhost:9000}"
	}
	return fmt.Sprintf("---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: %s}\nspec:\n  broker: %s\n%s\n",
		name, broker, indent(spec))
}

func channelYAML(name, spec string) string {
	return fmt.Sprintf("---\napiVersion: messaging.knative.dev/v1\nkind: Channel\nmetadata: {name: %s}\nspec:\n%s\n", name, indent(spec))
}

func leatChannelYAML(name, spec string) string {
	return fmt.Sprintf("---\napiVersion: messaging.knative.dev/v1alpha1\nkind: LeatChannel\nmetadata: {name: %s}\nspec:\n%s\n", name, indent(spec))
}

func subscriptionYAML(name, channelKind, channel, spec string) string {
	version := "v1"
	if channelKind == kindLeatChannel {
		version = "v1alpha1"
	}
	if spec == "" {
		spec = "subscriber: {uri: http://localhost:9000}"
	}
	return fmt.Sprintf("---\napiVersion: messaging.knative.dev/v1\nkind: Subscription\nmetadata: {name: %s}\nspec:\n"+
		"  channel: {apiVersion: messaging.knative.dev/%s, kind: %s, name: %s}\n%s\n", name, version, channelKind, channel, indent(spec))
}

func serviceYAML(name, spec string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec:\n  type: ExternalName\n%s\n", name, indent(spec))
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// refTo is a destination.
func refTo(kind, name string) string {
	version := map[string]string{
		kindService: "v1", kindBroker: "eventing.knative.dev/v1", kindChannel: "messaging.knative.dev/v1",
		kindLeatChannel: leatChannelVersion,
	}[kind]
	return fmt.Sprintf("{ref: {apiVersion: %q, kind: %s, name: %s}}", version, kind, name)
}
