// Package deliver is exactly one attempt to deliver an event over HTTP, its
// verdict, and when to try again.
//
// The rules are those of the Knative data-plane spec (specs/eventing/
// data-plane.md); where it leaves room, what knative.dev/eventing v0.50 does.
package deliver

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// Options of a Client. The zero value is usable.
type Options struct {
	// DefaultTimeout bounds an attempt without a timeout of its own; 0 is five
	// minutes.
	DefaultTimeout time.Duration
	// MaxReplyBytes bounds the body of a reply; 0 is 10 MiB. A longer one is a
	// ReplyErr.
	MaxReplyBytes int64
	// UserAgent is sent with every request; empty is "leat".
	UserAgent string
	// Proxy chooses a proxy, as in http.Transport. Nil is none: destinations
	// are in the same cluster or machine, where the proxy of an environment
	// variable only gets in the way. Pass http.ProxyFromEnvironment to have it.
	Proxy func(*http.Request) (*url.URL, error)
	// Now is the clock that a Retry-After date is held against; nil is
	// time.Now.
	Now func() time.Time
}

// Client sends events. It is safe for concurrent use and keeps connections
// alive between attempts.
type Client struct {
	opts    Options
	targets targets
	// grace bounds the wait for a body on which the verdict does not depend.
	grace time.Duration
}

// New returns a client. Close releases its connections.
func New(opts Options) *Client {
	if opts.DefaultTimeout <= 0 {
		opts.DefaultTimeout = 5 * time.Minute
	}
	if opts.MaxReplyBytes <= 0 {
		opts.MaxReplyBytes = 10 << 20
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "leat"
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Client{
		opts:    opts,
		targets: newTargets(opts.UserAgent, opts.Proxy),
		grace:   5 * time.Second,
	}
}

// Close closes the connections that are idle. Attempts under way go on.
func (c *Client) Close() { c.targets.close() }

// SendOptions are one attempt's.
type SendOptions struct {
	// Format is the content mode; the zero value is binary.
	Format routing.Format
	// Timeout bounds the whole attempt, from the connection to the last byte
	// of a reply. Zero is the client's default.
	Timeout time.Duration
	// PreferReply asks for a reply with the header Prefer: reply. Without it
	// the body of a 2xx is not looked at (data-plane spec, Derived (Reply)
	// Events: "the sender SHOULD treat the event as accepted").
	PreferReply bool
	// AllowNonEvent takes the body of a 2xx that does not claim to be a
	// CloudEvent for no reply, as upstream's channels do. Without it such a
	// body is a ReplyErr, as in upstream's Brokers.
	AllowNonEvent bool
	// Namespace is sent as the header Kn-Namespace, if it is not empty.
	Namespace string
}

// Outcome is what came of one attempt.
type Outcome struct {
	// Status is the response's, 0 if there was none: then Err is not nil.
	Status int
	// Err says why there was no response: the destination is unusable or
	// unreachable, the attempt timed out, or the caller's context ended, which
	// the caller finds by looking at it.
	Err error
	// Reply is the event in the response, nil if there is none. It owns its
	// memory.
	Reply *cloudevent.Event
	// ReplyErr says why the body of a 2xx response could not be taken as a
	// reply: it is no valid CloudEvent, too long, or broke off.
	ReplyErr error
	// Body is the beginning of the body of a response that is not 2xx, at most
	// MaxBody bytes.
	Body []byte
	// RetryAfter is what a 429 or 503 asks for in its header, at most a year.
	RetryAfter time.Duration
	// Took is the time of the whole attempt.
	Took time.Duration
}

// MaxBody is how much of the body of an error is kept.
const MaxBody = 1024

// Send makes one attempt to deliver the event. Redirects are not followed.
//
// A request that was written, even in part, is not sent again inside of the
// attempt: a kept connection that the peer closes in that moment is an Err.
func (c *Client) Send(ctx context.Context, dest *routing.Destination, e *cloudevent.Event, o SendOptions) Outcome {
	start := time.Now()
	out := c.attempt(ctx, dest, e, o)
	out.Took = time.Since(start)
	return out
}

func (c *Client) attempt(ctx context.Context, dest *routing.Destination, e *cloudevent.Event, o SendOptions) Outcome {
	target, err := c.targets.get(dest)
	if err != nil {
		return Outcome{Err: err}
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = c.opts.DefaultTimeout
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	resp, release, err := c.exchange(attempt, target, e, o)
	if err != nil {
		if attempt.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %v: %w", timeout, err)
		}
		return Outcome{Err: err}
	}
	defer release()
	defer resp.Body.Close()
	return c.read(attempt, target, resp, o, cancel)
}

// exchange sends the request and returns the response; release is called after
// its Body is closed. Without TLS and a proxy it is on connections of our own,
// otherwise on a transport's.
func (c *Client) exchange(ctx context.Context, t *target, e *cloudevent.Event, o SendOptions) (resp *http.Response, release func(), err error) {
	if t.start == nil {
		resp, err = t.transport.RoundTrip(c.request(ctx, t, e, o))
		return resp, func() {}, err
	}
	m, err := newMessage(t, e, o)
	if err != nil {
		return nil, nil, err
	}
	resp, err = c.targets.plain.Do(ctx, t.addr, m.header, m.body)
	if err != nil {
		m.release()
		return nil, nil, err
	}
	return resp, m.release, nil
}
