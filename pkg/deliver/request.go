package deliver

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

var (
	preferReply     = []string{"reply"}
	contentTypeJSON = []string{cloudevent.ContentTypeJSON}
)

// request makes the POST. Its headers and body belong to the transport even
// after RoundTrip has returned, so that nothing of it can be pooled.
func (c *Client) request(ctx context.Context, t *target, e *cloudevent.Event, o SendOptions) *http.Request {
	req := t.template.WithContext(ctx)
	req.Header = make(http.Header, 14)

	var body []byte
	if o.Format == routing.FormatJSON {
		for name, value := range e.Header() {
			req.Header.Add(name, value)
		}
		req.Header["Content-Type"] = contentTypeJSON
		body = e.AppendJSON(nil)
	} else {
		body = e.WriteBinary(req.Header)
	}
	req.Header["User-Agent"] = c.agent
	if t.authorization != nil {
		req.Header["Authorization"] = t.authorization
	}
	if o.PreferReply {
		req.Header["Prefer"] = preferReply
	}
	if o.Namespace != "" {
		req.Header["Kn-Namespace"] = []string{o.Namespace}
	}
	if len(body) == 0 {
		req.Body = http.NoBody
		return req
	}
	// net/http sends headers and body in one write only if the body is one of
	// the readers it knows to be in memory, or a NopCloser of it.
	req.ContentLength = int64(len(body))
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return req
}
