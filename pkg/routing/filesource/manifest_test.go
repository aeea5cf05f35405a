package filesource

import (
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	data := "# first\na: 1\n---\n---  # two\nb: 2\n--- {c: 3}\n...\nd: 4\n---e: 5\r\n---\r\nf: |\n  ---\n"
	parts, err := split([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	want := []part{
		{1, []byte("# first\na: 1\n")},
		{4, []byte("  # two\nb: 2\n")},
		{6, []byte(" {c: 3}\n")},
		{7, []byte("\nd: 4\n---e: 5\r\n")},
		{10, []byte("\r\nf: |\n  ---\n")},
	}
	if len(parts) != len(want) {
		t.Fatalf("%d parts: %v", len(parts), parts)
	}
	for i := range want {
		if parts[i].line != want[i].line || string(parts[i].text) != string(want[i].text) {
			t.Errorf("part %d is %d %q, want %d %q", i, parts[i].line, parts[i].text, want[i].line, want[i].text)
		}
	}
}

func TestFileThatIsNoYAML(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"syntax", brokerYAML("a") + "---\na: [\n", "document 2, which begins at line 5"},
		{"a key twice", "kind: Broker\nkind: Trigger\n", `key "kind" already set`},
		{"tabs", "a:\n\tb: 1\n", "document 1, which begins at line 1"},
		{"too many documents", strings.Repeat("a: 1\n---\n", maxDocuments+1), "more than 50000 documents"},
		{"alias bomb", bomb(), "excessive aliasing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs, err := parse([]byte(tt.data))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%d documents and error %v, want %s", len(docs), err, tt.want)
			}
		})
	}
}

// bomb is small, but would be ten to the power of nine words without aliases.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [lol]\n")
	for i := '1'; i <= '9'; i++ {
		alias := "*a" + string(i-1)
		b.WriteString("a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat(alias+", ", 9) + alias + "]\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		brokerYAML("a") + triggerYAML("b", "a", "filters: [{cesql: \"type = 'a'\"}]\nsubscriber: {uri: http://x}"),
		triggerYAML("b", "a", "subscriber: "+refTo(kindService, "x")+"\ndelivery: {backoffDelay: '-', retry: -1, timeout: PT5S}"),
		channelYAML("c", "channelTemplate: {apiVersion: messaging.knative.dev/v1alpha1, kind: LeatChannel, spec: {delivery: {retry: 1}}}"),
		leatChannelYAML("c", "subscribers: [{uid: u, subscriberUri: http://x}, {}]"),
		subscriptionYAML("s", kindChannel, "c", "reply: {uri: http://x, CACerts: nonsense}\nsubscriber: {uri: /x}"),
		serviceYAML("s", "externalName: localhost\nports: [{port: 99999}]"),
		bomb(), "null", "[]", "...\n--- x", "apiVersion: v1\nkind: Service\nmetadata: {name: [a]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := parse(data)
		if err != nil && docs != nil {
			t.Fatal("documents and an error")
		}
		for _, d := range docs {
			if d.obj == nil && d.problem == "" {
				t.Errorf("%s was not taken, and nobody is told why", d.key)
			}
			if d.obj != nil && (d.obj.GetName() != d.key.name || d.obj.GetNamespace() != d.key.namespace) {
				t.Errorf("%s became %s/%s", d.key, d.obj.GetNamespace(), d.obj.GetName())
			}
		}
		// Whatever was taken makes a table.
		s := begin(&testing.T{})
		s.see(0, map[string]any{"a.yaml": string(data)})
		for _, p := range s.table.Problems {
			if len(p.Reason) > longestText+3 || strings.ContainsAny(p.Object+p.Reason, "\n\x1b") {
				t.Errorf("a problem is not fit for a line: %q", p)
			}
		}
	})
}
