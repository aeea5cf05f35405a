package deliver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/net/http/httpguts"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

var (
	preferReply     = []string{"reply"}
	contentTypeJSON = []string{cloudevent.ContentTypeJSON}
)

// message is a POST over plain HTTP/1.1. A short body stands behind the header.
type message struct{ header, body []byte }

// messages are kept with their headers' memory.
var messages = sync.Pool{New: func() any { return &message{header: make([]byte, 0, 1<<10)} }}

// maxKeptHeader is the largest memory for a header that is kept.
const maxKeptHeader = 16 << 10

// newMessage makes the POST; release is called when its exchange has ended.
func newMessage(t *target, e *cloudevent.Event, o SendOptions) (*message, error) {
	m := messages.Get().(*message)
	h := m.header[:0]
	h = append(h, t.start...)
	var err error
	if o.Format == routing.FormatJSON {
		m.body = e.AppendJSON(nil)
		h, err = e.AppendStructured(h)
	} else {
		m.body = e.Data()
		h, err = e.AppendBinary(h)
	}
	if o.PreferReply {
		h = append(h, "Prefer: reply\r\n"...)
	}
	if o.Namespace != "" {
		h = append(h, "Kn-Namespace: "...)
		h = append(h, o.Namespace...)
		h = append(h, "\r\n"...)
	}
	h = append(h, "Content-Length: "...)
	h = strconv.AppendInt(h, int64(len(m.body)), 10)
	h = append(h, "\r\n\r\n"...)
	if len(h)+len(m.body) <= maxKeptHeader { // one write costs less than two pieces
		h, m.body = append(h, m.body...), nil
	}
	m.header = h
	if err != nil || !httpguts.ValidHeaderFieldValue(o.Namespace) {
		m.release()
		return nil, cmp.Or(err, errors.New("the namespace cannot be sent as a header"))
	}
	return m, nil
}

func (m *message) release() {
	if m.body = nil; cap(m.header) <= maxKeptHeader {
		messages.Put(m)
	}
}

// startOf is the beginning of every request to a URL: its line, and the headers
// that are always the same.
func startOf(template *http.Request, authorization, agent []string) ([]byte, error) {
	req := *template
	req.Header = http.Header{"User-Agent": agent}
	if authorization != nil {
		req.Header["Authorization"] = authorization
	}
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		return nil, err
	}
	start := bytes.Replace(b.Bytes(), []byte("Content-Length: 0\r\n"), nil, 1)
	return bytes.TrimSuffix(start, []byte("\r\n")), nil
}

// request makes the POST for a transport. Its headers and body belong to that even
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
	req.Header["User-Agent"] = c.targets.agent
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
