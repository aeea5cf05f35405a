package cloudevent

import (
	"strings"
	"testing"
)

// Events of version 0.3 keep it, and all that they came with, through storage
// and both modes. The SDK is the oracle, as for the others.
func TestVersion03(t *testing.T) {
	const req = `"specversion":"0.3","id":"1","source":"/s","type":"t"`
	for _, body := range []string{
		`{` + req + `}`,
		`{` + req + `,"subject":"s","time":"2018-04-05T17:31:00Z","schemaurl":"http://x.example/s","ext":"e"}`,
		`{` + req + `,"datacontenttype":"application/json","data":{"a": [1, "x"]}}`,
		`{` + req + `,"datacontenttype":"text/plain","data":"x"}`,
	} {
		h := headers("content-type", ContentTypeJSON)
		e := mustRead(t, h, body)
		if v, _ := e.Get("specversion"); v != SpecVersion03 {
			t.Errorf("the version is %s", v)
		}
		sdk, err := fromSDK(h, []byte(body))
		sameAsSDK(t, &e, sdk, err)
		sdk, err = fromSDK(h, e.AppendJSON(nil))
		sameAsSDK(t, &e, sdk, err)

		binary := headers()
		sent := e.WriteBinary(binary)
		sdk, err = fromSDK(binary, sent)
		sameAsSDK(t, &e, sdk, err)
		survives(t, &e)
	}
}

func TestVersion03Base64(t *testing.T) {
	const req = `"specversion":"0.3","id":"1","source":"/s","type":"t","datacontenttype":"application/octet-stream"`
	h := headers("content-type", ContentTypeJSON)
	e := mustRead(t, h, `{`+req+`,"datacontentencoding":"base64","data":"AAH/"}`)
	if string(e.Data()) != "\x00\x01\xff" {
		t.Fatalf("the data is %q", e.Data())
	}
	if _, ok := e.Get("datacontentencoding"); ok {
		t.Error("the data is not encoded any more, but says so")
	}
	if got := string(e.AppendJSON(nil)); !strings.Contains(got, `"datacontentencoding":"base64","data":"AAH/"`) || strings.Contains(got, "data_base64") {
		t.Errorf("written: %s", got)
	}
	survives(t, &e)

	// In binary mode it is the sender who has encoded it.
	binary := binaryHeaders("ce-specversion", "0.3", "ce-datacontentencoding", "base64", "content-type", "application/octet-stream")
	e = mustRead(t, binary, "AAH/")
	back := mustRead(t, h, string(e.AppendJSON(nil)))
	if string(back.Data()) != "\x00\x01\xff" {
		t.Errorf("the data is %q", back.Data())
	}
	for _, bad := range []string{`"data":5`, `"data":"?"`, `"data":{}`} {
		if _, err := FromHTTP(h, []byte(`{`+req+`,"datacontentencoding":"base64",`+bad+`}`)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
