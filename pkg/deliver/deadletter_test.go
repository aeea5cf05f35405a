package deliver

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestSetErrorAttributes(t *testing.T) {
	body := []byte(strings.Repeat("0123456789", 103))[:MaxBody]
	text := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

	for name, test := range map[string]struct {
		dest                 string
		outcome              Outcome
		wantDest, code, data string
	}{
		"answer":               {"http://a/x", Outcome{Status: 422, Body: []byte("no")}, "http://a/x", "422", "bm8="},
		"empty answer":         {"http://a", Outcome{Status: 404}, "http://a", "404", ""},
		"fills 1024 exactly":   {"http://a", Outcome{Status: 500, Body: body[:768]}, "http://a", "500", text(string(body[:768]))},
		"one byte more":        {"http://a", Outcome{Status: 500, Body: body[:769]}, "http://a", "500", text(string(body[:768]))},
		"one byte less":        {"http://a", Outcome{Status: 500, Body: body[:767]}, "http://a", "500", text(string(body[:767]))},
		"long answer":          {"http://a", Outcome{Status: 500, Body: body}, "http://a", "500", text(string(body[:768]))},
		"no answer":            {"http://a", Outcome{Err: errors.New("refused")}, "http://a", "500", text("dispatch error: refused")},
		"reply was no event":   {"http://a", Outcome{Status: 200, ReplyErr: errors.New("no event")}, "http://a", "502", text("no event")},
		"password in the URL":  {"https://me:secret@a/x?y=1", Outcome{Status: 401}, "https://a/x?y=1", "401", ""},
		"at sign in the query": {"https://a/x?y=@", Outcome{Status: 401}, "https://a/x?y=@", "401", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := testEvent()
			e.Set("knativeerrordata", "of an earlier failure")
			SetErrorAttributes(e, test.dest, test.outcome)
			dest, _ := e.Get("knativeerrordest")
			code, _ := e.Get("knativeerrorcode")
			data, ok := e.Get("knativeerrordata")
			if dest != test.wantDest || code != test.code || data != test.data || ok != (test.data != "") {
				t.Errorf("dest %q, code %q, data %q (%t)", dest, code, data, ok)
			}
			if len(data) > 1024 {
				t.Errorf("data has %d characters", len(data))
			}
			if _, err := base64.StdEncoding.DecodeString(data); err != nil {
				t.Error(err)
			}
		})
	}
}
