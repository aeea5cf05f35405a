package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"leat.dev/leat/pkg/engine"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 20

// Client speaks to the operator's API of one data plane. What the server
// refuses is an *Error. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// NewClient returns a client of the API at address: a URL, or host:port.
func NewClient(address string) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of an operator's API; give one like 127.0.0.1:8081", address)
	}
	// A command makes one request or two: no connection is worth keeping.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	return &Client{base: strings.TrimSuffix(u.String(), "/"), http: &http.Client{Transport: transport}}, nil
}

// StreamRef names a stream. Kind may be empty where the name is enough.
type StreamRef struct{ Kind, Namespace, Name string }

func (s StreamRef) path(more ...string) string {
	p := "/v1/streams/" + url.PathEscape(s.Namespace) + "/" + url.PathEscape(s.Name)
	for _, m := range more {
		p += "/" + escapeSegments(m)
	}
	return p
}

// escapeSegments escapes a route's ID and leaves its slashes.
func escapeSegments(id string) string {
	segments := strings.Split(id, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

func (s StreamRef) query() url.Values {
	q := url.Values{}
	if s.Kind != "" {
		q.Set("kind", s.Kind)
	}
	return q
}

// Ready says whether events are taken, and if not, why.
func (c *Client) Ready(ctx context.Context) (r Readiness, err error) {
	err = c.do(ctx, http.MethodGet, "/readyz", nil, &r)
	return r, err
}

// Problems returns the objects that were not taken as they are.
func (c *Client) Problems(ctx context.Context) (p []Problem, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/problems", nil, &p)
	return p, err
}

// Streams returns all streams, without their routes.
func (c *Client) Streams(ctx context.Context) (s []Stream, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/streams", nil, &s)
	return s, err
}

// Stream returns one stream with its routes.
func (c *Client) Stream(ctx context.Context, ref StreamRef) (s Stream, err error) {
	err = c.do(ctx, http.MethodGet, ref.path(), ref.query(), &s)
	return s, err
}

// RemoveStream deletes a stream that is gone from the table, for good. Its Kind
// is needed.
func (c *Client) RemoveStream(ctx context.Context, ref StreamRef) (r Removed, err error) {
	err = c.do(ctx, http.MethodDelete, ref.path(), ref.query(), &r)
	return r, err
}

// Route returns one route, by its ID or name.
func (c *Client) Route(ctx context.Context, ref StreamRef, route string) (r Route, err error) {
	err = c.do(ctx, http.MethodGet, ref.path("routes", route), ref.query(), &r)
	return r, err
}

// Seek moves a route: to is earliest, latest, a seq, or a time as RFC 3339 writes
// it, which is the first event that came in then or later.
func (c *Client) Seek(ctx context.Context, ref StreamRef, route, to string) (s Sought, err error) {
	q := ref.query()
	q.Set("to", to)
	err = c.do(ctx, http.MethodPost, ref.path("seek", route), q, &s)
	return s, err
}

// PageOptions say which dead letters are listed.
type PageOptions struct {
	// From is the first seq, 0 for the oldest; Limit how many, 0 for 50.
	From  engine.Seq
	Limit int
	// Data shows the events with what they carry.
	Data bool
}

// DeadLetters returns a page of a route's own dead letters.
func (c *Client) DeadLetters(ctx context.Context, ref StreamRef, route string, o PageOptions) (p DeadLetterPage, err error) {
	q := ref.query()
	q.Set("from", seqText(o.From))
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.Data {
		q.Set("data", "true")
	}
	err = c.do(ctx, http.MethodGet, ref.path("deadletters", route), q, &p)
	return p, err
}

// DeadLetterStores returns every store of dead letters that is not empty.
func (c *Client) DeadLetterStores(ctx context.Context) (s []DeadLetterStore, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/deadletters", nil, &s)
	return s, err
}

// Redrive delivers a route's own dead letters again, once each, oldest first,
// up to seq to; 0 is all.
func (c *Client) Redrive(ctx context.Context, ref StreamRef, route string, to engine.Seq) (r Redriven, err error) {
	q := ref.query()
	q.Set("to", seqText(to))
	err = c.do(ctx, http.MethodPost, ref.path("redrive", route), q, &r)
	return r, err
}

// Drop drops a route's own dead letters up to seq to.
func (c *Client) Drop(ctx context.Context, ref StreamRef, route string, to engine.Seq) (d Dropped, err error) {
	q := ref.query()
	q.Set("to", seqText(to))
	err = c.do(ctx, http.MethodDelete, ref.path("deadletters", route), q, &d)
	return d, err
}

func seqText(s engine.Seq) string { return strconv.FormatUint(uint64(s), 10) }

// do makes a request and reads the answer into v.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, v any) error {
	u := c.base + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w; does leat serve run, and is %s its --admin address?", err, c.base)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.base, err)
	}
	_, readiness := v.(*Readiness)
	if resp.StatusCode != http.StatusOK && !(readiness && resp.StatusCode == http.StatusServiceUnavailable) {
		var refused struct{ Error string }
		if json.Unmarshal(body, &refused) != nil || refused.Error == "" {
			refused.Error = resp.Status + " from " + c.base
		}
		return &Error{resp.StatusCode, refused.Error}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("the answer of %s is not the operator's API of leat: %w", c.base, err)
	}
	return nil
}
