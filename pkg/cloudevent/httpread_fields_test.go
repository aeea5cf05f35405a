package cloudevent

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// sameAsFromHTTP holds FromFields against FromHTTP. Which of several mistakes is
// told of is chance.
func sameAsFromHTTP(t *testing.T, fields []Field, body string, reasons bool) {
	t.Helper()
	h := http.Header{}
	for _, f := range fields {
		if f.Name != "Host" { // net/http takes it out
			h[f.Name] = []string{f.Value}
		}
	}
	want, wantErr := FromHTTP(h, []byte(body))
	got, err := FromFields(fields, []byte(body))
	var invalid, wantInvalid *InvalidError
	if errors.As(err, &invalid) != errors.As(wantErr, &wantInvalid) || (err == nil) != (wantErr == nil) || len(got) != len(want) {
		t.Fatalf("%q with %q: %d events and %v, want %d and %v", fields, body, len(got), err, len(want), wantErr)
	}
	if reasons && invalid != nil && invalid.Reason != wantInvalid.Reason {
		t.Errorf("%q with %q: %q, want %q", fields, body, invalid.Reason, wantInvalid.Reason)
	}
	for i := range got {
		if a, b := describeSorted(&got[i]), describeSorted(&want[i]); a != b || string(got[i].Data()) != string(want[i].Data()) {
			t.Errorf("%q: %s with %q, want %s with %q", fields, a, got[i].Data(), b, want[i].Data())
		}
		if got[i].Key() != want[i].Key() || got[i].specVersion() != want[i].specVersion() {
			t.Errorf("%q: key %q and version %s, want %q and %s", fields, got[i].Key(), got[i].specVersion(), want[i].Key(), want[i].specVersion())
		}
	}
}

// FromFields says of any headers what FromHTTP says.
func TestFromFieldsLikeFromHTTP(t *testing.T) {
	const one = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`
	long := strings.Repeat("x", MaxHeaderSize+1)
	values := map[string][]string{
		"Ce-Specversion":                {"1.0", "0.3", "", "2.0", `"1.0"`},
		"Ce-Id":                         {"1", "", " ", "%41", "%zz", `"a \"b"`, "%ff", "größe", "\x01", long},
		"Ce-Source":                     {"/s", "", "%00", "http://x/%20"},
		"Ce-Type":                       {"t", "", "\t"},
		"Ce-Time":                       {"2018-04-05T17:31:00.5Z", "x", ""},
		"Ce-Subject":                    {"", "a%20b", "%c3"},
		"Ce-Dataschema":                 {"urn:x:1", "::"},
		"Ce-Partitionkey":               {"k", ""},
		"Ce-Knativebrokerttl":           {"5", "x"},
		"Ce-Datacontenttype":            {"a/b"},
		"Ce-Schemaurl":                  {"urn:y"},
		"Ce-":                           {"x"},
		"Ce-A-B":                        {"x"},
		"Ce-Data":                       {"x"},
		"Ce-Abcdefghijklmnopqrstuvwxyz": {"x"},
		"Ce_id":                         {"x"},
		"Ce-X1":                         {"1", strings.Repeat("v", MaxValueSize+1)},
		"Content-Type":                  {"", "text/plain", "application/json; charset=utf-8", ContentTypeJSON, "Application/CloudEvents+JSON ; a=b", ContentTypeBatch, "application/cloudevents+avro", "application/cloudevents", "application/cloudeventsx"},
		"Host":                          {"x"},
		"Content-Length":                {"4"},
		"X-Request-Id":                  {"r", "", long},
		"Traceparent":                   {"p"},
		"Tracestate":                    {"a=b"},
		"Knative-A":                     {"k", long},
		"X-B3-Traceid":                  {"b"},
		"X-B3":                          {"no"},
		"Authorization":                 {"no"},
	}
	names := slices.Sorted(maps.Keys(values))
	bodies := []string{"", "x", one, "[" + one + "," + one + "]", "[]", "[" + one + ",{}]", "\xff"}
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 2))
		all := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t"}
		changes := r.IntN(5)
		for range changes {
			name := names[r.IntN(len(names))]
			if r.IntN(6) == 0 {
				delete(all, name)
			} else {
				all[name] = values[name][r.IntN(len(values[name]))]
			}
		}
		var fields []Field
		for name, value := range all {
			fields = append(fields, Field{name, value})
		}
		sameAsFromHTTP(t, fields, bodies[r.IntN(len(bodies))], changes < 2)
	}
}

// As many attributes and headers as may be, and one more.
func TestFromFieldsBounds(t *testing.T) {
	required := []Field{{"Ce-Specversion", "1.0"}, {"Ce-Id", "1"}, {"Ce-Source", "/s"}, {"Ce-Type", "t"}}
	for _, n := range []int{1, MaxAttributes - 5, MaxAttributes - 4, MaxAttributes - 3, MaxHeaders, MaxHeaders + 1} {
		for _, prefix := range []string{"Ce-X", "Knative-X"} {
			fields := append([]Field(nil), required...)
			for i := range n {
				fields = append(fields, Field{fmt.Sprint(prefix, i), "v"})
			}
			sameAsFromHTTP(t, fields, "x", true)
		}
	}
	big := append([]Field(nil), required...)
	for i := range 8 {
		big = append(big, Field{fmt.Sprint("Ce-X", i), strings.Repeat("v", MaxValueSize)})
		sameAsFromHTTP(t, big, "x", true)
	}
	sameAsFromHTTP(t, nil, "", true)
}
