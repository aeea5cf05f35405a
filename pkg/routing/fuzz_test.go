package routing_test

import (
	"strings"
	"testing"

	"leat.dev/leat/pkg/routing"
)

// FuzzParsePath: a path that names a stream is that stream's, but for a slash
// at the end.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/a/b", "/a/b/", "/channels/a/b", "/channels/channels/a", "/channels/a", "//", "/a//", "", "a/b", "/a/b/c", "/\x00/\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, ok := routing.ParsePath(path)
		if !ok {
			return
		}
		if name.Path() != strings.TrimSuffix(path, "/") || name.Namespace == "" || name.Name == "" || strings.Contains(name.Namespace+name.Name, "/") {
			t.Fatalf("%q is %+v", path, name)
		}
		back, ok := routing.ParseStreamName(name.String())
		if !ok || back != name {
			t.Fatalf("%q is %+v, which comes back as %+v", path, name, back)
		}
	})
}

// FuzzParseStreamName: a name that is read is written alike.
func FuzzParseStreamName(f *testing.F) {
	for _, s := range []string{"broker/a/b", "channel/a/b", "broker//b", "queue/a/b", "dead/broker/a/b/c", "broker/a/b/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name, ok := routing.ParseStreamName(text); ok && name.String() != text {
			t.Fatalf("%q is %+v", text, name)
		}
	})
}
