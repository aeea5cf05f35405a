package filesource

import (
	"errors"
	"testing"
	"time"
)

const second = time.Second

func TestFileThatDoesNotParseKeepsItsLastVersion(t *testing.T) {
	s := begin(t)
	good := map[string]any{"m/a.yaml": brokerYAML("a"), "m/b.yaml": brokerYAML("b") + triggerYAML("t", "b", "")}
	s.see(0, good)
	s.see(2*second, good)
	s.want(true, "broker/default/a", "broker/default/b: trigger/default/t")

	s.see(second, map[string]any{"m/a.yaml": brokerYAML("a2"), "m/b.yaml": brokerYAML("b") + "---\n{"})
	s.want(false, "broker/default/a2", "broker/default/b: trigger/default/t")
	s.wantProblems("m/b.yaml: document 2, which begins at line 5: yaml: line 2: did not find expected node content")

	// It stays so, however long it lasts.
	if s.see(time.Hour, map[string]any{"m/a.yaml": brokerYAML("a2"), "m/b.yaml": brokerYAML("b") + "---\n{"}) {
		t.Error("a table was published although nothing has changed")
	}

	s.see(second, map[string]any{"m/a.yaml": brokerYAML("a2"), "m/b.yaml": errors.New("cannot be read: permission denied")})
	s.want(false, "broker/default/a2", "broker/default/b: trigger/default/t")
	s.wantProblems("m/b.yaml: cannot be read: permission denied")

	mended := map[string]any{"m/a.yaml": brokerYAML("a2"), "m/b.yaml": brokerYAML("b")}
	s.see(second, mended)
	s.want(false, "broker/default/a2", "broker/default/b")
	s.see(second, mended)
	s.want(true, "broker/default/a2", "broker/default/b")
	s.wantProblems()
}

func TestFileThatNeverParsed(t *testing.T) {
	s := begin(t)
	files := map[string]any{"m/a.yaml": brokerYAML("a"), "m/b.yaml": "{"}
	s.see(0, files)
	s.see(time.Hour, files)
	s.want(false, "broker/default/a")
}

func TestObjectThatIsNotValidKeepsItsLastVersion(t *testing.T) {
	s := begin(t)
	broker := brokerYAML("a")
	good := map[string]any{"m/a.yaml": broker + triggerYAML("t", "a", "") + triggerYAML("u", "a", "")}
	s.see(0, good)
	s.see(2*second, good)
	s.want(true, "broker/default/a: trigger/default/t trigger/default/u")

	s.see(second, map[string]any{"m/a.yaml": broker + triggerYAML("t", "a", "subscriber: {}") + triggerYAML("v", "a", "subscriber: {}") + triggerYAML("w", "a", "")})
	s.want(false, "broker/default/a: trigger/default/t trigger/default/w")
	s.wantProblems(
		"m/a.yaml: Trigger default/t: expected at least one, got none: spec.subscriber.ref, spec.subscriber.uri; the last good version stays in use",
		"m/a.yaml: Trigger default/v: expected at least one, got none: spec.subscriber.ref, spec.subscriber.uri",
	)
}

func TestObjectTwice(t *testing.T) {
	s := begin(t)
	files := map[string]any{
		"m/a.yaml": brokerYAML("x") + triggerYAML("t", "x", "subscriber: {uri: http://first}"),
		"m/b.yaml": triggerYAML("t", "x", "subscriber: {uri: http://second}"),
	}
	s.see(0, files)
	s.see(2*second, files)
	s.want(true, "broker/default/x: trigger/default/t")
	s.wantProblems("m/b.yaml: Trigger default/t: it is in m/a.yaml as well; that one is used")
	for _, stream := range s.table.Streams {
		if got := stream.Routes[0].Subscriber.URL; got != "http://first" {
			t.Errorf("the Trigger's subscriber is %s, want the first file's", got)
		}
	}
}

func TestForeignObjectsAreNoDoubt(t *testing.T) {
	tests := []struct {
		name, data string
		complete   bool
	}{
		{"a Deployment", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", true},
		{"a Broker of another class", "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: x, annotations: {eventing.knative.dev/broker.class: Kafka}}\n", true},
		{"a Trigger that cannot be resolved", triggerYAML("t", "a", "subscriber: "+refTo(kindService, "gone")), true},
		{"a kind with a typing error", "apiVersion: eventing.knative.dev/v1\nkind: Brokr\nmetadata: {name: x}\n", false},
		{"no kind", "metadata: {name: x}\n", false},
		{"no name", "apiVersion: eventing.knative.dev/v1\nkind: Broker\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := begin(t)
			files := map[string]any{"m/a.yaml": brokerYAML("a") + "---\n" + tt.data}
			s.see(0, files)
			s.see(2*second, files)
			if s.table.Complete != tt.complete || len(s.table.Problems) != 1 {
				t.Errorf("complete is %v, want %v; problems %q", s.table.Complete, tt.complete, problems(s.table))
			}
		})
	}
}

// What is missing may be missing for a moment only: a copy that is under way.
func TestAbsenceIsCertainWhenNothingChanges(t *testing.T) {
	ab := map[string]any{"m/a.yaml": brokerYAML("a"), "m/b.yaml": brokerYAML("b") + triggerYAML("t", "b", "")}
	s := begin(t)
	if !s.see(0, ab) {
		t.Fatal("no table at once")
	}
	s.want(false, "broker/default/a", "broker/default/b: trigger/default/t")
	if !s.see(second, ab) {
		t.Fatal("no complete table after a second")
	}
	s.want(true, "broker/default/a", "broker/default/b: trigger/default/t")

	// What is added or changed takes nothing away.
	abc := map[string]any{"m/a.yaml": brokerYAML("a"), "m/b.yaml": ab["m/b.yaml"], "m/c.yaml": brokerYAML("c")}
	s.see(second, abc)
	s.want(true, "broker/default/a", "broker/default/b: trigger/default/t", "broker/default/c")

	// A route that is gone: certain after a second, counted anew by each change.
	s.see(second, map[string]any{"m/a.yaml": brokerYAML("a"), "m/b.yaml": ""})
	s.want(false, "broker/default/a")
	s.see(second/2, map[string]any{"m/a.yaml": brokerYAML("a"), "m/b.yaml": brokerYAML("b")})
	s.want(false, "broker/default/a", "broker/default/b")
	last := map[string]any{"m/a.yaml": brokerYAML("a"), "m/b.yaml": brokerYAML("b"), "m/c.yaml": brokerYAML("c")}
	s.see(second/2, last)
	s.want(false, "broker/default/a", "broker/default/b", "broker/default/c")
	s.see(second, last)
	s.want(true, "broker/default/a", "broker/default/b", "broker/default/c")
}

func TestNothingAtAllIsNeverComplete(t *testing.T) {
	s := begin(t)
	s.see(0, nil)
	s.see(time.Hour, nil)
	s.want(false)
	s.wantProblems("m: there is no Broker and no channel in it; what is stored of earlier ones is kept")
}

// A folder that disappears, such as one of a network, takes nothing with it.
func TestFolderThatCannotBeRead(t *testing.T) {
	s := begin(t)
	good := map[string]any{"m/a.yaml": brokerYAML("a"), "m/sub/b.yaml": brokerYAML("b")}
	s.see(0, good)
	s.see(2*second, good)
	s.see(second, map[string]any{"m/a.yaml": brokerYAML("a"), "m/sub": errors.New("cannot be read: input/output error")})
	s.want(false, "broker/default/a", "broker/default/b")
	s.wantProblems("m/sub: cannot be read: input/output error")
	s.see(second, map[string]any{"m": errors.New("cannot be read: no such file or directory")})
	s.see(time.Hour, map[string]any{"m": errors.New("cannot be read: no such file or directory")})
	s.want(false, "broker/default/a", "broker/default/b")
	s.see(second, good)
	s.want(true, "broker/default/a", "broker/default/b")
	s.wantProblems()
}

func TestGenerationGrowsWithWhatChanges(t *testing.T) {
	s := begin(t)
	s.see(0, map[string]any{"m/a.yaml": brokerYAML("a")})
	s.see(second, map[string]any{"m/a.yaml": brokerYAML("a")})
	if s.see(second, map[string]any{"m/a.yaml": "# a comment\n" + brokerYAML("a")}) {
		t.Error("a comment made a table")
	}
	first := s.table
	s.see(second, map[string]any{"m/a.yaml": brokerYAML("a") + triggerYAML("t", "a", "")})
	if first.Generation != 2 || s.table.Generation != 3 {
		t.Errorf("generations %d and %d, want 2 and 3", first.Generation, s.table.Generation)
	}
	if len(first.Streams) != 1 || len(outline(first)[0]) != len("broker/default/a") {
		t.Error("a published table was changed")
	}
}
