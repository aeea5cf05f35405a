package cloudevent

import (
	"encoding/json"
	"strings"
	"testing"
)

const req = `"specversion":"1.0","id":"1","source":"/s","type":"t"`

func TestFromHTTPStructured(t *testing.T) {
	const base = "specversion=1.0 id=1 source=/s type=t"
	for _, x := range []struct {
		name, body, want, data string
	}{
		{"required only", `{` + req + `}`, base, ""},
		{"white space", " {\n\t" + req + " }\r\n", base, ""},
		{"any order", `{"data":1,"type":"t","source":"/s","id":"1","datacontenttype":"text/json","specversion":"1.0"}`, base + " datacontenttype=text/json", "1"},
		{"types", `{` + req + `,"i":-5,"s":"5","b":true,"c":false,"z":-0}`, base + " b=?true c=?false i=#-5 s=5 z=#0", ""},
		{"int32", `{` + req + `,"a":2147483647,"b":-2147483648}`, base + " a=#2147483647 b=#-2147483648", ""},
		{"null is absent", `{` + req + `,"subject":null,"a":null,"data_base64":null}`, base, ""},
		{"empty optional is absent", `{` + req + `,"subject":"","time":""}`, base, ""},
		{"escapes", `{` + req + `,"subj\u0065ct":"\u00e9\ud83d\ude00\"\\\/"}`, base + ` subject=é😀"\/`, ""},
		{"data without a type is JSON", `{` + req + `,"data":{"a": [1, "x"]}}`, base + " datacontenttype=application/json", `{"a": [1, "x"]}`},
		{"a string is JSON", `{` + req + `,"data":"x\n"}`, base + " datacontenttype=application/json", `"x\n"`},
		{"null is JSON", `{` + req + `,"data":null}`, base + " datacontenttype=application/json", `null`},
		{"JSON with a suffix", `{` + req + `,"datacontenttype":"application/x+json; a=b","data":"x"}`, base + " datacontenttype=application/x+json; a=b", `"x"`},
		{"text", `{` + req + `,"datacontenttype":"text/plain","data":"x\n\u00e9"}`, base + " datacontenttype=text/plain", "x\né"},
		{"XML", `{` + req + `,"data":"<a b=\"c\"/>","datacontenttype":"application/xml"}`, base + " datacontenttype=application/xml", `<a b="c"/>`},
		{"an object under another type", `{` + req + `,"data":{"a":1},"datacontenttype":"text/plain"}`, base + " datacontenttype=text/plain", `{"a":1}`},
		{"null under another type", `{` + req + `,"data":null,"datacontenttype":"text/plain"}`, base + " datacontenttype=text/plain", ``},
		{"Base64", `{` + req + `,"data_base64":"AP\/+"}`, base, "\x00\xff\xfe"},
		{"Base64 of JSON", `{` + req + `,"datacontenttype":"application/json","data_base64":"e30="}`, base + " datacontenttype=application/json", "{}"},
	} {
		for _, contentType := range []string{ContentTypeJSON, "Application/CloudEvents+JSON; charset=utf-8"} {
			t.Run(x.name, func(t *testing.T) {
				// The ce- headers that may accompany the structured mode do not count.
				e := mustRead(t, headers("content-type", contentType, "ce-id", "9", "ce-a_b", "x"), x.body)
				if got := describe(&e); got != x.want {
					t.Errorf("got  %s\nwant %s", got, x.want)
				}
				if string(e.Data()) != x.data {
					t.Errorf("data %q, want %q", e.Data(), x.data)
				}
			})
		}
	}
}

func TestFromHTTPStructuredRefuses(t *testing.T) {
	structured := headers("content-type", ContentTypeJSON)
	for _, x := range []struct{ name, body, want string }{
		{"nothing", ``, "JSON object"},
		{"array", `[{` + req + `}]`, "JSON object"},
		{"open", `{` + req, "not valid JSON"},
		{"more", `{` + req + `}{}`, "not valid JSON"},
		{"no comma", `{` + req + ` "a":1}`, "not valid JSON"},
		{"comma at the end", `{` + req + `,}`, "not valid JSON"},
		{"bad escape", `{` + req + `,"a":"\x"}`, "not valid JSON"},
		{"raw newline", `{` + req + ",\"a\":\"\n\"}", "not valid JSON"},
		{"number", `{` + req + `,"data":01}`, "not valid JSON"},
		{"bad literal", `{` + req + `,"data":nul}`, "not valid JSON"},
		{"UTF-8", `{` + req + ",\"a\":\"\xff\"}", "UTF-8"},
		{"half a surrogate pair", `{` + req + `,"a":"\ud83d"}`, "surrogate"},
		{"half a surrogate pair in text", `{` + req + `,"datacontenttype":"text/plain","data":"\ude00\ud83d"}`, "surrogate"},
		{"control character", `{` + req + `,"a":"\n"}`, "control characters"},
		{"no specversion", `{"id":"1","source":"/s","type":"t"}`, `"specversion" is missing`},
		{"version 0.2", strings.Replace(`{`+req+`}`, "1.0", "0.2", 1), "not supported"},
		{"no id", `{"specversion":"1.0","source":"/s","type":"t"}`, `"id" is missing`},
		{"null id", `{"specversion":"1.0","id":null,"source":"/s","type":"t"}`, `"id" is missing`},
		{"id as a number", `{"specversion":"1.0","id":1,"source":"/s","type":"t"}`, `"id" must be a string`},
		{"time as a boolean", `{` + req + `,"time":true}`, `"time" must be a string`},
		{"time", `{` + req + `,"time":"1"}`, "RFC 3339"},
		{"content type", `{` + req + `,"datacontenttype":"x","data":1}`, "media type"},
		{"twice", `{` + req + `,"a":"1","a":"1"}`, "more than once"},
		{"id twice", `{` + req + `,"id":"1"}`, "more than once"},
		{"data twice", `{` + req + `,"data":1,"data":1}`, "more than once"},
		{"both data", `{` + req + `,"data":1,"data_base64":"AA=="}`, "both"},
		{"Base64", `{` + req + `,"data_base64":"?"}`, "Base64"},
		{"Base64 as a number", `{` + req + `,"data_base64":1}`, "must be a string"},
		{"object", `{` + req + `,"a":{}}`, "not an object or array"},
		{"array value", `{` + req + `,"a":[]}`, "not an object or array"},
		{"fraction", `{` + req + `,"a":1.0}`, "must be an integer"},
		{"exponent", `{` + req + `,"a":1e3}`, "must be an integer"},
		{"large integer", `{` + req + `,"a":2147483648}`, "must be an integer"},
		{"upper case", `{` + req + `,"Subject":"s"}`, `attribute name "Subject"`},
		{"name", `{` + req + `,"a-b":"s"}`, `attribute name "a-b"`},
		{"depth", `{` + req + `,"data":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`, "nested too deeply"},
	} {
		t.Run(x.name, func(t *testing.T) {
			wantInvalid(t, structured, x.body, x.want)
		})
	}
}

func TestFromHTTPBatch(t *testing.T) {
	batch := headers("content-type", ContentTypeBatch+"; charset=utf-8", "x-request-id", "r")
	events, err := FromHTTP(batch, []byte(`[{`+req+`,"data":1}, {"specversion":"1.0","id":"2","source":"s","type":"t","datacontenttype":"text/plain","data":"x"}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"specversion=1.0 id=1 source=/s type=t datacontenttype=application/json X-Request-Id:r",
		"specversion=1.0 id=2 source=s type=t datacontenttype=text/plain X-Request-Id:r",
	}
	for i, w := range want {
		if got := describe(&events[i]); got != w {
			t.Errorf("event %d: got %s, want %s", i+1, got, w)
		}
	}
	if len(events) != 2 || string(events[0].Data()) != "1" || string(events[1].Data()) != "x" {
		t.Errorf("got %d events with data %q, %q", len(events), events[0].Data(), events[1].Data())
	}

	if events, err := FromHTTP(batch, []byte(" [ ] ")); err != nil || len(events) != 0 {
		t.Errorf("an empty batch: %v, %v", events, err)
	}
	for _, x := range []struct{ body, want string }{
		{`{` + req + `}`, "array"},
		{`[{` + req + `}`, "not valid JSON"},
		{`[{` + req + `}]]`, "not valid JSON"},
		{`[{` + req + `},]`, "event 2 of the batch"},
		{`[{` + req + `},{"id":""}]`, "event 2 of the batch"},
		{"[\"\xff\"]", "UTF-8"},
		{`[` + strings.Repeat(`{`+req+`},`, MaxBatch) + `{` + req + `}]`, "more than 10000 events"},
	} {
		wantInvalid(t, batch, x.body, x.want)
	}
}

func TestAppendJSON(t *testing.T) {
	for _, x := range []struct {
		contentType, data, want string
	}{
		{"", "", `{` + req + `}`},
		{"", `{"a":1}`, `{` + req + `,"data":{"a":1}}`},
		{"", "x", `{` + req + `,"data_base64":"eA=="}`},
		{"application/json", "[1, 2]", `{` + req + `,"datacontenttype":"application/json","data":[1, 2]}`},
		{"application/x+json", "null", `{` + req + `,"datacontenttype":"application/x+json","data":null}`},
		{"application/json", "{", `{` + req + `,"datacontenttype":"application/json","data_base64":"ew=="}`},
		{"application/json", "\"\xff\"", `{` + req + `,"datacontenttype":"application/json","data_base64":"Iv8i"}`},
		{"text/plain", "a\"\\\n\r\t\x01é", `{` + req + `,"datacontenttype":"text/plain","data":"a\"\\\n\r\t\u0001é"}`},
		{"text/plain", "\xff", `{` + req + `,"datacontenttype":"text/plain","data_base64":"/w=="}`},
		{"text/json", "1", `{` + req + `,"datacontenttype":"text/json","data":1}`},
		{"application/xml", "<a/>", `{` + req + `,"datacontenttype":"application/xml","data_base64":"PGEvPg=="}`},
	} {
		h := binaryHeaders()
		if x.contentType != "" {
			h.Set("content-type", x.contentType)
		}
		e := mustRead(t, h, x.data)
		got := string(e.AppendJSON([]byte("before ")))
		if got != "before "+x.want {
			t.Errorf("%s %q:\ngot  %s\nwant before %s", x.contentType, x.data, got, x.want)
		}
	}

	var e Event
	e.Set("subject", "a\xffb")
	e.SetInt("i", 7)
	e.set("b", Value{Boolean, "true"})
	const want = `{"specversion":"1.0","id":"","source":"","type":"","b":true,"i":7,"subject":"a` + "\ufffd" + `b"}`
	if got := string(e.AppendJSON(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNestedDataStaysData(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)
	e := mustRead(t, binaryHeaders("content-type", "application/json"), deep)
	back := mustRead(t, headers("content-type", ContentTypeJSON), string(e.AppendJSON(nil)))
	if string(back.Data()) != deep {
		t.Error("data nested deeper than JSON may be did not survive as Base64")
	}
}

// depthOf is how deep valid JSON is nested.
func depthOf(b []byte) int {
	depth, most := 0, 0
	d := json.NewDecoder(strings.NewReader(string(b)))
	for {
		tok, err := d.Token()
		if err != nil {
			return most
		}
		if delim, ok := tok.(json.Delim); ok {
			if delim == '[' || delim == '{' {
				depth++
				most = max(most, depth)
			} else {
				depth--
			}
		}
	}
}
