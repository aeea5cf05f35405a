package cloudevent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	sdkevent "github.com/cloudevents/sdk-go/v2/event"
	sdkhttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// What we accept, the SDK accepts as well, and reads the same. (It accepts
// more: duplicates, control characters, version 0.3.)
func sameAsSDK(t *testing.T, e *Event, sdk *sdkevent.Event, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the SDK refuses what we accept: %v", err)
	}
	ours, err := e.SDK()
	if err != nil {
		t.Fatalf("the SDK refuses our event: %v", err)
	}
	if a, b := ours.Context.String(), sdk.Context.String(); a != b {
		t.Fatalf("we read\n%s\nthe SDK\n%s", a, b)
	}
	if !bytes.Equal(ours.Data(), sdk.Data()) {
		t.Fatalf("we read %q, the SDK %q", ours.Data(), sdk.Data())
	}
}

func fromSDK(h http.Header, body []byte) (*sdkevent.Event, error) {
	m := sdkhttp.NewMessage(h, io.NopCloser(bytes.NewReader(body)))
	e, err := binding.ToEvent(context.Background(), m)
	if err != nil {
		return nil, err
	}
	return e, e.Validate()
}

// survives holds the ways of an event through storage and both modes of HTTP
// against each other.
func survives(t *testing.T, e *Event) {
	t.Helper()
	if back := stored(t, e); !same(e, &back) {
		t.Fatalf("stored: got %s, want %s", describe(&back), describe(e))
	}
	h := http.Header{}
	body := e.WriteBinary(h)
	back, err := fromBinary(h, body)
	if err != nil {
		t.Fatalf("binary: %v", err)
	}
	for name, v := range e.Attributes() {
		if got, _ := back.Get(name); got != v.S {
			t.Fatalf("binary: %s is %q, was %q", name, got, v.S)
		}
	}
	if !bytes.Equal(back.Data(), e.Data()) {
		t.Fatalf("binary: data is %q, was %q", back.Data(), e.Data())
	}
	text := e.AppendJSON(nil)
	back, err = fromStructured(nil, text)
	if err != nil {
		t.Fatalf("structured: %v: %s", err, text)
	}
	for name, v := range e.Attributes() {
		if got, _ := back.Get(name); got != v.S {
			t.Fatalf("structured: %s is %q, was %q", name, got, v.S)
		}
	}
	got, want := back.Data(), e.Data()
	if contentType, declared := e.Get(attrDataContentType); !declared || isJSON(contentType) {
		const space = " \t\r\n" // means nothing around a JSON value
		got, want = bytes.Trim(got, space), bytes.Trim(want, space)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("structured: data is %q, was %q", got, want)
	}
}

func FuzzFromHTTPBinary(f *testing.F) {
	f.Add("1", "/s", "t", "ext", "value", "2018-04-05T17:31:00Z", "application/json", "{}")
	f.Add("a%20b", "http://h:80/p?q#f", "com.x", "knativebrokerttl", "12", "", "text/plain; charset=utf-8", "x")
	f.Add(`"q\"x"`, "urn:uuid:6e8bc430", "t", "a-b", "\xff", "x", "", "")
	f.Add("%C0%A0", "//h", "\u0085", "data", "100%", "2018-04-05T17:31:00.123+02:00", "multipart/x; boundary=y", "")
	f.Add("1", "a:b", "t", "subject", "s", "", "application/cloudevents", "")
	f.Fuzz(func(t *testing.T, id, source, typ, ext, value, time, contentType, body string) {
		h := headers("ce-specversion", "1.0", "ce-id", id, "ce-source", source, "ce-type", typ)
		h.Add("ce-"+ext, value)
		if time != "" {
			h.Add("ce-time", time)
		}
		if contentType != "" {
			h.Add("content-type", contentType)
		}
		if format, _ := structuredFormat(h); format != "" {
			return
		}
		events, err := FromHTTP(h, []byte(body))
		if err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(err.Error()) > 400 {
				t.Fatalf("%v", err)
			}
			return
		}
		survives(t, &events[0])
		// The SDK does not know the encoding of header values: it gets the
		// decoded ones.
		plain := http.Header{}
		for name, v := range events[0].Attributes() {
			plain[attributeHeader(name)] = []string{v.S}
		}
		if ct, ok := events[0].Get(attrDataContentType); ok {
			delete(plain, "Ce-Datacontenttype")
			plain["Content-Type"] = []string{ct}
		}
		if u, _ := url.Parse(events[0].Source()); u.String() == "" {
			return // "#" is a URI-reference, but the SDK thinks it is empty
		}
		sdk, err := fromSDK(plain, []byte(body))
		sameAsSDK(t, &events[0], sdk, err)
	})
}

func FuzzStructured(f *testing.F) {
	f.Add([]byte(`{` + req + `}`))
	f.Add([]byte(`{` + req + `,"a":1,"b":true,"c":null,"subject":"\u00e9\ud83d\ude00","data":{"x":[1,2.5e-3,null]}}`))
	f.Add([]byte(`{"data":"text\n","datacontenttype":"text/plain",` + req + `}`))
	f.Add([]byte(`{` + req + `,"time":"2018-04-05T17:31:00Z","dataschema":"urn:x","data_base64":"AP\/+"}`))
	f.Add([]byte(`{` + req + `,"data":null,"datacontenttype":"application/x+json"}`))
	h := headers("content-type", ContentTypeJSON)
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := FromHTTP(h, body)
		if err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(err.Error()) > 400 {
				t.Fatalf("%v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("accepted, but not JSON")
		}
		survives(t, &events[0])
	})
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{` + req + `},{` + req + `,"data":[[]]}]`))
	h := headers("content-type", ContentTypeBatch)
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := FromHTTP(h, body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatal("accepted, but not JSON")
		}
		for i := range events {
			survives(t, &events[i])
		}
	})
}

func FuzzDecode(f *testing.F) {
	e := mustRead(f, binaryHeaders("ce-a", "x", "content-type", "text/plain", "tracestate", "a=b"), "body")
	e.SetInt("i", 5)
	f.Add(e.AppendStored(nil))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		e.WriteBinary(http.Header{})
		if text := e.AppendJSON(nil); !json.Valid(text) {
			t.Fatalf("not JSON: %s", text)
		}
		back, err := Decode(e.AppendStored(nil))
		if err != nil || !same(&e, &back) {
			t.Fatalf("%v: got %s, want %s", err, describe(&back), describe(&e))
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,"\u00e9",true,false,null]}`, `01`, `-`, `1.`, `1e`, `"\x"`, "\"\n\"", ` [ ] x`, `{"a"}`, `{,}`, "nul", "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ours := validJSON(b)
		s := scanner{b: b}
		if theirs := json.Valid(b); ours && !theirs {
			t.Fatal("we accept what is not JSON")
		} else if theirs && !ours && bytes.Equal(b, bytes.ToValidUTF8(b, nil)) && depthOf(b) <= MaxDepth {
			t.Fatal("we refuse what is JSON")
		}
		if s.peek() != '"' || !ours {
			return
		}
		quoted, _ := s.string()
		content, ok := unquoteJSON(quoted)
		var want string
		if err := json.Unmarshal(quoted, &want); err != nil {
			t.Fatal(err)
		}
		if ok && string(content) != want {
			t.Fatalf("unquoted to %q, want %q", content, want)
		}
	})
}

func FuzzSource(f *testing.F) {
	for _, s := range []string{"/a/b", "http://h/p", "urn:x:y", "//", "http://", "a:b", "a//b:c", "x://y:z", "::", "1a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := url.Parse(s); validURIReference(s) != (err == nil) {
			t.Fatalf("%q: we say %v, net/url says %v", s, validURIReference(s), err)
		}
	})
}
