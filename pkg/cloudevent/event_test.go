package cloudevent

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func headers(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Add(kv[i], kv[i+1])
	}
	return h
}

// required and some more attributes in binary mode.
func binaryHeaders(more ...string) http.Header {
	h := headers("ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t")
	for k, v := range headers(more...) {
		h[k] = v
	}
	return h
}

func mustRead(t testing.TB, h http.Header, body string) Event {
	t.Helper()
	events, err := FromHTTP(h, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 {
		t.Fatalf("%d events, want 1", len(events))
	}
	return events[0]
}

func TestCopyIsIndependent(t *testing.T) {
	a := mustRead(t, binaryHeaders("ce-b", "1", "ce-d", "1"), "x")
	b := a
	b.Set("c", "2")
	b.Set("b", "2")
	b.Delete("d")
	b.Set("id", "2")
	b.AddHeader("x-request-id", "r")
	c := b
	c.Set("c", "3")
	c.AddHeader("x-request-id", "q")
	for _, x := range []struct {
		name string
		e    Event
		want string
	}{
		{"original", a, "specversion=1.0 id=1 source=/s type=t b=1 d=1"},
		{"copy", b, "specversion=1.0 id=2 source=/s type=t b=2 c=2 X-Request-Id:r"},
		{"copy of the copy", c, "specversion=1.0 id=2 source=/s type=t b=2 c=3 X-Request-Id:r X-Request-Id:q"},
	} {
		if got := describe(&x.e); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// Also where the array behind the headers has room for one more.
func TestCopyHasHeadersOfItsOwn(t *testing.T) {
	h := binaryHeaders()
	for range 3 {
		h.Add("tracestate", "a=b")
	}
	a := mustRead(t, h, "")
	b := a
	a.AddHeader("x-request-id", "a")
	b.AddHeader("x-request-id", "b")
	if got := describe(&a); !strings.HasSuffix(got, "X-Request-Id:a") {
		t.Errorf("the copy changed the original: %s", got)
	}
}

// describe shows attributes (integers with #, booleans with ?) and headers.
func describe(e *Event) string {
	s := ""
	for name, v := range e.Attributes() {
		s += " " + name + "=" + map[Kind]string{Integer: "#", Boolean: "?"}[v.Kind] + v.S
	}
	for name, v := range e.Header() {
		s += " " + name + ":" + v
	}
	return s[1:]
}

// describeSorted is describe for events whose headers come in the order of a
// map.
func describeSorted(e *Event) string {
	s := *e
	s.headers = slices.SortedFunc(slices.Values(s.headers), func(a, b header) int { return strings.Compare(a.name, b.name) })
	return describe(&s)
}

func describeHTTP(h http.Header) string {
	var s []string
	for key, values := range h {
		for _, v := range values {
			s = append(s, key+":"+v)
		}
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func TestSetRefusesNames(t *testing.T) {
	for _, name := range []string{"", "specversion", "Upper", "a-b", "data", "data_base64"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Set(%q) went well", name)
				}
			}()
			new(Event).Set(name, "x")
		}()
	}
}

func TestGet(t *testing.T) {
	e := mustRead(t, binaryHeaders("ce-a", "x"), "")
	for name, want := range map[string]string{"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "a": "x"} {
		if got, ok := e.Get(name); got != want || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"b", "subject", "A", ""} {
		if got, ok := e.Get(name); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
}
