package cloudevent

import (
	"errors"
	"testing"
)

// FuzzReply: a subscriber's response is no reply, one event that survives, or
// a mistake that is explained.
func FuzzReply(f *testing.F) {
	f.Add("", "", "", "", "")
	f.Add("1.0", "application/json", "1", "x-request-id", "{}")
	f.Add("", ContentTypeJSON+"; charset=utf-8", "", "ce-", `{`+req+`,"data":1}`)
	f.Add("", ContentTypeBatch, "", "ce-a", `[{`+req+`}]`)
	f.Add("1.0", "text/plain", "%41", "ce-knativebrokerttl", "x")
	f.Fuzz(func(t *testing.T, version, contentType, id, name, body string) {
		h := headers("ce-source", "/s", "ce-type", "t")
		if version == "" {
			h = headers()
		} else {
			h.Set("ce-specversion", version)
			h.Set("ce-id", id)
		}
		if contentType != "" {
			h.Set("content-type", contentType)
		}
		if name != "" {
			h.Add(name, id)
		}
		e, err := ReplyFromHTTP(h, []byte(body))
		var invalid *InvalidError
		switch {
		case err != nil && (e != nil || !errors.As(err, &invalid) || len(err.Error()) > 400):
			t.Fatalf("%v", err)
		case err == nil && e == nil && (body != "" || version != ""):
			t.Fatal("a response that is something is taken for nothing")
		case e != nil:
			survives(t, e)
		}
	})
}
