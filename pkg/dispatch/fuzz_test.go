package dispatch

import (
	"testing"

	"leat.dev/leat/pkg/routing"
)

// FuzzDeadLetterStream: whose dead letters a stream holds is read as it was
// written, and a Broker's or channel's stream is never taken for one.
func FuzzDeadLetterStream(f *testing.F) {
	f.Add("broker", "ns", "default", "trigger/ns/a/uid", "dead/broker/ns/default/trigger/ns/a")
	f.Add("channel", "a", "b", "", "dead/")
	f.Add("dead", "x", "y", "/", "broker/ns/default")
	f.Fuzz(func(t *testing.T, kind, namespace, name, route, text string) {
		stream := routing.StreamName{Kind: routing.Kind(kind), Namespace: namespace, Name: name}
		if parsed, ok := routing.ParseStreamName(stream.String()); ok && parsed == stream {
			back, id, ok := ParseDeadLetterStream(DeadLetterStream(stream, route))
			if !ok || back != stream || id != route {
				t.Fatalf("%+v %q comes back as %+v %q, %v", stream, route, back, id, ok)
			}
		}
		if _, isStream := routing.ParseStreamName(text); isStream {
			if _, _, ok := ParseDeadLetterStream(text); ok {
				t.Fatalf("%q is a stream and holds dead letters", text)
			}
		}
		if back, id, ok := ParseDeadLetterStream(text); ok && DeadLetterStream(back, id) != text {
			t.Fatalf("%q is taken for %+v %q", text, back, id)
		}
	})
}
