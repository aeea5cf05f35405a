package cloudevent

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestFromHTTPBinary(t *testing.T) {
	for _, x := range []struct {
		name string
		h    http.Header
		want string
	}{
		{"required only", binaryHeaders(), "specversion=1.0 id=1 source=/s type=t"},
		{
			"all optional",
			binaryHeaders("ce-subject", "s", "ce-time", "2018-04-05T17:31:00.5Z", "ce-dataschema", "urn:x:1", "content-type", "text/plain; charset=utf-8"),
			"specversion=1.0 id=1 source=/s type=t datacontenttype=text/plain; charset=utf-8 dataschema=urn:x:1 subject=s time=2018-04-05T17:31:00.5Z",
		},
		{"extensions in the order of names", binaryHeaders("ce-zz", "1", "ce-aa", "true"), "specversion=1.0 id=1 source=/s type=t aa=true zz=1"},
		{"empty optional is absent", binaryHeaders("ce-subject", "", "ce-time", ""), "specversion=1.0 id=1 source=/s type=t"},
		{"empty extension is kept", binaryHeaders("ce-a", ""), "specversion=1.0 id=1 source=/s type=t a="},
		{"percent-encoded", binaryHeaders("ce-subject", "Euro%20%E2%82%AC%20%f0%9f%98%80"), "specversion=1.0 id=1 source=/s type=t subject=Euro € 😀"},
		{"decoded once", binaryHeaders("ce-subject", "%2541"), "specversion=1.0 id=1 source=/s type=t subject=%41"},
		{"no escape", binaryHeaders("ce-subject", "100% %zz %4"), "specversion=1.0 id=1 source=/s type=t subject=100% %zz %4"},
		{"raw UTF-8", binaryHeaders("ce-subject", "größe"), "specversion=1.0 id=1 source=/s type=t subject=größe"},
		{"quoted", binaryHeaders("ce-subject", `"a \"b\" %43"`), `specversion=1.0 id=1 source=/s type=t subject=a "b" C`},
		{"quotes inside", binaryHeaders("ce-subject", `"a" and "b"`), `specversion=1.0 id=1 source=/s type=t subject="a" and "b"`},
		{"an open quote", binaryHeaders("ce-subject", `"a\`), `specversion=1.0 id=1 source=/s type=t subject="a\`},
		{
			"headers that go along",
			binaryHeaders("x-request-id", "r", "knative-x", "k", "x-b3-traceid", "b", "traceparent", "p", "tracestate", "s", "authorization", "no", "retry-after", "1", "x-other", "no"),
			"specversion=1.0 id=1 source=/s type=t Knative-X:k Traceparent:p Tracestate:s X-B3-Traceid:b X-Request-Id:r",
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			e := mustRead(t, x.h, "body")
			if got := describeSorted(&e); got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
			if string(e.Data()) != "body" {
				t.Errorf("data %q", e.Data())
			}
		})
	}
}

func TestFromHTTPBinaryRefuses(t *testing.T) {
	without := func(name string) http.Header {
		h := binaryHeaders()
		h.Del(name)
		return h
	}
	long := strings.Repeat("x", MaxValueSize+1)
	many := binaryHeaders()
	for i := range MaxAttributes - 3 {
		many.Set("ce-x"+strconv.Itoa(i), "")
	}
	large := binaryHeaders()
	for i := range 5 {
		large.Set("ce-x"+strconv.Itoa(i), long[1:])
	}
	passed := binaryHeaders()
	for range MaxHeaders + 1 {
		passed.Add("tracestate", "a=b")
	}
	twice := binaryHeaders()
	twice.Add("ce-a", "1")
	twice.Add("ce-a", "1")
	twoTypes := binaryHeaders()
	twoTypes.Add("content-type", "text/plain")
	twoTypes.Add("content-type", "text/plain")
	for _, x := range []struct {
		name string
		h    http.Header
		want string
	}{
		{"no event", headers("content-type", "application/json"), "not a CloudEvent"},
		{"no specversion", without("ce-specversion"), `"specversion" is missing`},
		{"no id", without("ce-id"), `"id" is missing`},
		{"no source", without("ce-source"), `"source" is missing`},
		{"no type", without("ce-type"), `"type" is missing`},
		{"empty id", binaryHeaders("ce-id", ""), `"id" is required`},
		{"blank type", binaryHeaders("ce-type", "%20"), `"type" is required`},
		{"version 2.0", binaryHeaders("ce-specversion", "2.0"), `specversion "2.0" is not supported`},
		{"source", binaryHeaders("ce-source", "http://[::1"), "URI-reference"},
		{"source with a bad colon", binaryHeaders("ce-source", ":x"), "URI-reference"},
		{"dataschema", binaryHeaders("ce-dataschema", "/relative"), "absolute URI"},
		{"time", binaryHeaders("ce-time", "yesterday"), "RFC 3339"},
		{"content type", binaryHeaders("content-type", "json"), "media type"},
		{"content type parameters", binaryHeaders("content-type", "text/plain; ="), "media type"},
		{"datacontenttype", binaryHeaders("ce-datacontenttype", "text/plain"), "Content-Type"},
		{"name", binaryHeaders("ce-a_b", "x"), `attribute name "a_b"`},
		{"long name", binaryHeaders("ce-"+strings.Repeat("a", MaxNameLength+1), "x"), "attribute name"},
		{"empty name", binaryHeaders("ce-", "x"), "attribute name"},
		{"reserved name", binaryHeaders("ce-data", "x"), "attribute name"},
		{"value twice", twice, `"a" is given more than once`},
		{"content type twice", twoTypes, "Content-Type is given more than once"},
		{"UTF-8", binaryHeaders("ce-a", "\xff"), "UTF-8"},
		{"escaped UTF-8", binaryHeaders("ce-a", "%C0%A0"), "UTF-8"},
		{"control character", binaryHeaders("ce-a", "%0a"), "control characters"},
		{"C1 control character", binaryHeaders("ce-a", "\u0085"), "control characters"},
		{"noncharacter", binaryHeaders("ce-a", "\ufdd0"), "noncharacters"},
		{"long value", binaryHeaders("ce-a", long), "longer than"},
		{"many attributes", many, "more than 128 attributes"},
		{"large attributes", large, "larger than"},
		{"many headers", passed, "headers to pass on"},
		{"long header", binaryHeaders("tracestate", long), "longer than"},
		{"unknown format", headers("content-type", "application/cloudevents+avro"), "format"},
		{"unknown format with attributes", binaryHeaders("content-type", "application/cloudevents"), "format"},
	} {
		t.Run(x.name, func(t *testing.T) {
			wantInvalid(t, x.h, "", x.want)
		})
	}
}

// wantInvalid reads a message that is no event and looks for a part of the
// sentence that says why.
func wantInvalid(t *testing.T, h http.Header, body, want string) {
	t.Helper()
	events, err := FromHTTP(h, []byte(body))
	var refused *InvalidError
	if !errors.As(err, &refused) || len(events) > 0 {
		t.Fatalf("got %v, %v, want an *InvalidError", events, err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	if len(err.Error()) > 300 {
		t.Errorf("%d bytes are no sentence: %s", len(err.Error()), err)
	}
}

func TestMostAttributes(t *testing.T) {
	h := binaryHeaders()
	for i := range MaxAttributes - 4 {
		h.Set("ce-x"+strconv.Itoa(i), "v")
	}
	e := mustRead(t, h, "")
	back := stored(t, &e)
	if got := describe(&back); got != describe(&e) {
		t.Errorf("got %s", got)
	}
}

func TestWriteBinary(t *testing.T) {
	e := mustRead(t, binaryHeaders("ce-subject", "a%20%22%25%C3%A9", "ce-time", "2018-04-05T17:31:00Z", "ce-partitionkey", "k",
		"content-type", "text/plain", "tracestate", "a=b", "x-request-id", "r"), "body")
	e.SetInt("count", -3)
	e.AddHeader("tracestate", "c=d")
	h := http.Header{}
	if body := e.WriteBinary(h); string(body) != "body" {
		t.Errorf("body %q", body)
	}
	want := "Ce-Count:-3 Ce-Id:1 Ce-Partitionkey:k Ce-Source:/s Ce-Specversion:1.0 Ce-Subject:a%20%22%25%C3%A9 " +
		"Ce-Time:2018-04-05T17:31:00Z Ce-Type:t Content-Type:text/plain Tracestate:a=b Tracestate:c=d X-Request-Id:r"
	if got := describeHTTP(h); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for key := range h {
		if key != http.CanonicalHeaderKey(key) {
			t.Errorf("%s is not in canonical form", key)
		}
	}
}

func TestReplyFromHTTP(t *testing.T) {
	for _, x := range []struct {
		name string
		h    http.Header
		body string
		want string // "" is no event, "!" an error
	}{
		{"nothing", http.Header{}, "", ""},
		{"nothing with a type", headers("content-type", "text/plain", "x-request-id", "r"), "", ""},
		{"no event", headers("content-type", "text/plain"), "ok", "!"},
		{"binary without data", binaryHeaders(), "", "1"},
		{"binary", binaryHeaders(), "x", "1"},
		{"half an event", headers("ce-id", "1"), "", "!"},
		{"structured", headers("content-type", ContentTypeJSON), `{"specversion":"1.0","id":"2","source":"s","type":"t"}`, "2"},
		{"malformed", headers("content-type", ContentTypeJSON), `{`, "!"},
		{"batch", headers("content-type", ContentTypeBatch), `[]`, "!"},
	} {
		t.Run(x.name, func(t *testing.T) {
			e, err := ReplyFromHTTP(x.h, []byte(x.body))
			got := ""
			if err != nil {
				got = "!"
			} else if e != nil {
				got = e.ID()
			}
			if got != x.want {
				t.Errorf("got %q (%v), want %q", got, err, x.want)
			}
		})
	}
}

func TestKey(t *testing.T) {
	e := mustRead(t, binaryHeaders(), "")
	if e.Key() != "/s" {
		t.Errorf("key %q, want the source", e.Key())
	}
	e.Set("partitionkey", "k")
	if e.Key() != "k" {
		t.Errorf("key %q, want the partitionkey", e.Key())
	}
}
