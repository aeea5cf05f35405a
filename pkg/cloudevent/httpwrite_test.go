package cloudevent

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// lines reads what AppendBinary and AppendStructured wrote, as a server does.
func lines(t *testing.T, b []byte) http.Header {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(strings.NewReader(string(b) + "\r\n")))
	h, err := r.ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%v: %q", err, b)
	}
	if rest, _ := io.ReadAll(r.R); len(rest) > 0 {
		t.Fatalf("%q ends before %q", b, rest)
	}
	return http.Header(h)
}

// asServed is what a server reads of a header that net/http's client sends.
func asServed(t *testing.T, h http.Header) http.Header {
	t.Helper()
	var b strings.Builder
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	return lines(t, []byte(b.String()))
}

// sameHeader holds both ways to write an event's header against each other.
func sameHeader(t *testing.T, e *Event) {
	t.Helper()
	binary, structured := http.Header{}, http.Header{"Content-Type": {ContentTypeJSON}}
	e.WriteBinary(binary)
	for name, value := range e.Header() {
		structured.Add(name, value)
	}
	const before = "A: b\r\n"
	for _, x := range []struct {
		h     http.Header
		write func([]byte) ([]byte, error)
	}{{binary, e.AppendBinary}, {structured, e.AppendStructured}} {
		b, err := x.write([]byte(before))
		if err != nil {
			t.Fatalf("%v: %s", err, describe(e))
		}
		x.h["A"] = []string{"b"}
		if !strings.HasPrefix(string(b), before) {
			t.Errorf("%q does not begin with %q", b, before)
		}
		if ours, theirs := lines(t, b), asServed(t, x.h); !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%s\nlines  %q\nheader %q", describe(e), ours, theirs)
		}
	}
}

func TestAppendHeaderLikeWriteBinary(t *testing.T) {
	for name, more := range map[string][]string{
		"required only":       nil,
		"all known":           {"ce-subject", "s", "ce-time", "2018-04-05T17:31:00Z", "ce-dataschema", "urn:x", "ce-partitionkey", "k", "content-type", "text/plain"},
		"Knative's":           {"ce-knativearrivaltime", "2018-04-05T17:31:00Z", "ce-knativebrokerttl", "12", "ce-knativeerrordest", "http://a/b"},
		"case":                {"CE-MYEXT", "Value", "cE-oTher", "v", "ce-0first", "v", "ce-x1Y2", "v"},
		"percent-encoding":    {"ce-subject", "a%20%22%25%C3%A9", "ce-x", "100%", "ce-y", "%zz%4", "ce-z", "a b"},
		"quoted":              {"ce-subject", `"a \"b\""`},
		"content type":        {"content-type", "application/x+json; charset=utf-8; a=\"b c\""},
		"content type, odd":   {"content-type", "Multipart/MIXED;  boundary=y"},
		"passed":              {"x-request-id", "r 1", "traceparent", "00-0-0-0", "knative-a-b", "", "x-b3-traceid", "a, b"},
		"several of one name": {"tracestate", "a=b", "tracestate", "c=d", "tracestate", "", "knative-x", "1", "knative-x", "1"},
		"not ASCII":           {"knative-x", "\u00e9\xff", "ce-x", "\u00e9"},
		"space around":        {"knative-x", "  a b\t "},
	} {
		t.Run(name, func(t *testing.T) {
			h := headers("ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t")
			maps.Copy(h, headers(more...))
			e := mustRead(t, h, "{}")
			sameHeader(t, &e)
		})
	}
	t.Run("0.3", func(t *testing.T) {
		e := mustRead(t, binaryHeaders("ce-specversion", "0.3", "ce-schemaurl", "urn:x"), "")
		sameHeader(t, &e)
	})
	t.Run("set by us", func(t *testing.T) {
		// Values of our own code are not checked before they are written.
		e := mustRead(t, binaryHeaders(), "")
		e.SetInt("count", -3)
		e.Set("knativeerrordata", "line\r\nInjected: x\x00\n\n")
		e.Set("id", "a\r\nb")
		e.AddHeader("x-request-id", "r")
		sameHeader(t, &e)
	})
}

func TestAppendHeaderOfRandomEvents(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		e := randomEvent(r)
		if sameHeader(t, &e); t.Failed() {
			t.Fatalf("with the seed %d", seed)
		}
	}
}

// randomEvent has any values in its attributes and what HTTP allows in its
// headers.
func randomEvent(r *rand.Rand) (e Event) {
	text := func(allowed func(byte) bool) string {
		var b []byte
		for range r.IntN(12) {
			if c := byte(r.IntN(256)); allowed(c) {
				b = append(b, c)
			}
		}
		return string(b)
	}
	anything := func(byte) bool { return true }
	inHeader := func(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }
	name := func() string {
		const letters = "abcxyz019"
		b := []byte{letters[r.IntN(len(letters))]}
		for range r.IntN(8) {
			b = append(b, letters[r.IntN(len(letters))])
		}
		return string(b)
	}
	e.old = r.IntN(8) == 0
	e.Set("id", "i"+text(anything))
	e.Set("source", "/"+text(anything))
	e.Set("type", "t"+text(anything))
	for range r.IntN(8) {
		e.Set(name(), text(anything))
	}
	for _, known := range []string{attrTime, attrSubject, attrDataSchema, attrPartitionKey, "knativearrivaltime"} {
		if r.IntN(3) == 0 {
			e.Set(known, text(anything))
		}
	}
	if r.IntN(2) == 0 {
		e.Set(attrDataContentType, "a/"+text(inHeader))
	}
	for range r.IntN(6) {
		e.AddHeader([]string{"x-request-id", "TraceState", "knative-" + name(), "X-B3-" + name()}[r.IntN(4)], text(inHeader))
	}
	return e
}

// A header that would end its line, and begin another or a request of its own, is
// refused, and nothing of it is written.
func TestHeaderThatSplitsIsRefused(t *testing.T) {
	const evil = "evil"
	values := map[string]bool{
		"a\tb": true, "\u00e9": true, "": true,
		"a\r\n" + evil + ": x": false, "a\n" + evil: false, "a\r" + evil: false,
		"a\r\n\r\nPOST /" + evil + " HTTP/1.1": false, evil + "\x00": false, evil + "\x7f": false, evil + "\x1b": false, evil + "\r\n": false,
	}
	for c := range byte(0x20) {
		values[fmt.Sprintf("a%c%s", c, evil)] = c == '\t'
	}
	for value, allowed := range values {
		header := mustRead(t, binaryHeaders(), "")
		header.AddHeader("x-request-id", "r")
		header.AddHeader("tracestate", value)
		header.AddHeader("knative-x", "y")
		contentType := mustRead(t, binaryHeaders("content-type", "a/b"), "")
		contentType.Set(attrDataContentType, value)
		for name, write := range map[string]func([]byte) ([]byte, error){
			"binary, passed": header.AppendBinary, "structured, passed": header.AppendStructured,
			"binary, content type": contentType.AppendBinary,
		} {
			b, err := write(nil)
			if allowed {
				if err != nil {
					t.Errorf("%s: %q: %v", name, value, err)
				}
				continue
			}
			if refused := (*InvalidError)(nil); !errors.As(err, &refused) || strings.Contains(err.Error(), evil) {
				t.Errorf("%s: %q: %v", name, value, err)
			}
			if strings.Contains(string(b), evil) {
				t.Errorf("%s: %q is written: %q", name, value, b)
			}
			lines(t, b) // whole lines
		}
		if !allowed {
			wantAttributesEncoded(t, value)
		}
	}
}

// wantAttributesEncoded gives the value to attributes, where it is encoded.
func wantAttributesEncoded(t *testing.T, value string) {
	t.Helper()
	e := mustRead(t, binaryHeaders(), "")
	for _, name := range []string{"id", "source", "type", "subject", "time", "x"} {
		e.Set(name, value)
	}
	b, err := e.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := lines(t, b)
	if names := slices.Sorted(maps.Keys(h)); len(names) != 7 {
		t.Errorf("%q has the headers %q", b, names)
	}
	for name, values := range h {
		if got, err := decodeHeaderValue(strings.ToLower(name), values[0]); name != "Ce-Specversion" && (err != nil || got != value) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, value)
		}
	}
}

func TestHeaderNameThatSplitsIsRefused(t *testing.T) {
	for _, name := range []string{"", "a b", "knative-\r\nevil", "knative-:", "knative-\u00e9", "knative-\x00"} {
		e := mustRead(t, binaryHeaders(), "")
		e.headers = []header{{name, "v"}}
		for _, write := range []func([]byte) ([]byte, error){e.AppendBinary, e.AppendStructured} {
			if b, err := write(nil); err == nil {
				t.Errorf("%q is written: %q", name, b)
			}
		}
	}
}

func FuzzAppendHeader(f *testing.F) {
	f.Add("1", "ext", "value", "application/json", "tracestate", "a=b")
	f.Add("a\r\nb", "time", "\x00", "text/plain\r\nx: y", "X-B3-a\r\n", "c\r\n\r\n")
	f.Fuzz(func(t *testing.T, id, ext, value, contentType, name, passed string) {
		var e Event
		e.Set("id", id)
		if validName(ext) {
			e.Set(ext, value)
		}
		e.Set(attrDataContentType, contentType)
		e.AddHeader(name, passed)
		b, err := e.AppendBinary(nil)
		if err != nil {
			lines(t, b)
			return
		}
		if got := strings.Count(string(b), "\n"); got != 4+len(e.attrs)+1 || strings.Count(string(b), "\r\n") != got {
			t.Errorf("%d lines: %q", got, b)
		}
		lines(t, b)
	})
}
