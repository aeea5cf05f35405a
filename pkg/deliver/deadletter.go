package deliver

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"leat.dev/leat/pkg/cloudevent"
)

// maxErrorData is the bytes whose base64 is the 1024 characters that
// knativeerrordata has at most.
const maxErrorData = 768

// SetErrorAttributes writes into a dead letter why it could not be delivered to
// dest, in place of what an earlier failure may have left there: the extensions
// knativeerrordest, knativeerrorcode, and knativeerrordata with the base64 of
// the beginning of the answer. As upstream has it, the code is 500 where there
// was no answer, and 502 where the answer was no valid reply; the data is the
// error then. An empty answer leaves no knativeerrordata, and a password in dest
// does not get into the event.
func SetErrorAttributes(e *cloudevent.Event, dest string, o Outcome) {
	code, data := o.Status, o.Body
	switch {
	case o.Err != nil:
		code, data = http.StatusInternalServerError, []byte("dispatch error: "+o.Err.Error())
	case o.ReplyErr != nil:
		code, data = http.StatusBadGateway, []byte(o.ReplyErr.Error())
	}
	e.Set("knativeerrordest", WithoutUser(dest))
	e.SetInt("knativeerrorcode", int32(code))
	e.Delete("knativeerrordata")
	if len(data) > 0 {
		e.Set("knativeerrordata", base64.StdEncoding.EncodeToString(data[:min(len(data), maxErrorData)]))
	}
}

// WithoutUser is the address of a destination as it may be shown: without the
// user and password that it may have.
func WithoutUser(dest string) string {
	if !strings.Contains(dest, "@") {
		return dest
	}
	u, err := url.Parse(dest)
	if err != nil || u.Opaque != "" {
		return ""
	}
	u.User = nil
	return u.String()
}
