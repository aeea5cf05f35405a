package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"leat.dev/leat/pkg/cloudevent"
)

// read takes what is wanted from the response, in a form that outlives it, and
// leaves the connection fit for the next request where that is cheap. cancel
// ends the attempt.
func (c *Client) read(ctx context.Context, t *target, resp *http.Response, o SendOptions, cancel context.CancelFunc) Outcome {
	out := Outcome{Status: resp.StatusCode}
	switch {
	case resp.StatusCode < 200:
		// 101: the connection is the peer's now, there is no body to read.
	case resp.StatusCode < 300 && !mayReply(resp, o):
		c.within(cancel, resp, func() { drain(resp.Body) })
	case resp.StatusCode < 300:
		out.Reply, out.ReplyErr = c.reply(ctx, t, resp, cancel)
	default:
		c.within(cancel, resp, func() {
			out.Body = readBody(resp.Body, resp.ContentLength)
			drain(resp.Body)
		})
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
			out.RetryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), c.opts.Now())
		}
	}
	return out
}

// mayReply tells whether the body of a 2xx is looked at. If it is, it is a
// reply, none, or an error. The data-plane spec
// says of 200 that it may hold an event, of 202 that it must not be processed
// as a reply, and leaves the other 2xx open; upstream takes events from all of
// them, as we do from all but 202.
//
//	status     body                  Trigger (upstream)           subscriber of a channel (upstream)
//	202        any                   none (reply or 502)          none (reply)
//	other 2xx  none, no ce- headers  none                         none
//	other 2xx  one valid CloudEvent  reply                        reply
//	other 2xx  claims to be one      ReplyErr (502)               ReplyErr (fails to be sent on)
//	other 2xx  anything else         ReplyErr (502)               none (discarded), AllowNonEvent
//	else       any                   the first bytes go into knativeerrordata
//
// Upstream's filter answers 502 to its own channel, which then retries as for
// any 5xx: a ReplyErr is Retryable.
func mayReply(resp *http.Response, o SendOptions) bool {
	return resp.StatusCode != http.StatusAccepted && o.PreferReply &&
		(!o.AllowNonEvent || claimsEvent(resp.Header))
}

const noEvent = "the response must be empty or a CloudEvent"

func (c *Client) reply(ctx context.Context, t *target, resp *http.Response, cancel context.CancelFunc) (*cloudevent.Event, error) {
	if !claimsEvent(resp.Header) && !isEmpty(resp) {
		c.within(cancel, resp, func() { drain(resp.Body) })
		return nil, errors.New(noEvent)
	}
	body, err := t.readAll(ctx, resp.Body, resp.ContentLength, c.opts.MaxReplyBytes)
	if err != nil {
		return nil, fmt.Errorf("the reply: %w", err)
	}
	reply, err := cloudevent.ReplyFromHTTP(resp.Header, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", noEvent, err)
	}
	return reply, nil
}

// isEmpty tells whether the response has no body, by reading a byte of it if it
// does not say so.
func isEmpty(resp *http.Response) bool {
	if resp.ContentLength >= 0 {
		return resp.ContentLength == 0
	}
	n, err := io.ReadFull(resp.Body, make([]byte, 1))
	return n == 0 && err == io.EOF
}

// claimsEvent tells whether a message is meant as a CloudEvent (HTTP binding,
// section 3), right or wrong.
func claimsEvent(h http.Header) bool {
	const prefix = "application/cloudevents"
	contentType := h.Get("Content-Type")
	return len(h["Ce-Specversion"]) > 0 ||
		len(contentType) >= len(prefix) && strings.EqualFold(contentType[:len(prefix)], prefix)
}

// within runs f, which reads a body that does not matter to the verdict, and
// cancels the attempt if it takes longer than the grace.
func (c *Client) within(cancel context.CancelFunc, resp *http.Response, f func()) {
	if resp.ContentLength == 0 || resp.Body == http.NoBody {
		return
	}
	timer := time.AfterFunc(c.grace, cancel)
	defer timer.Stop()
	f()
}

// readBody returns up to MaxBody bytes, fewer if the body breaks off.
func readBody(r io.Reader, length int64) []byte {
	size := int64(MaxBody)
	if length >= 0 {
		size = min(size, length)
	}
	buf := make([]byte, size)
	n, _ := io.ReadFull(r, buf)
	return buf[:n:n]
}

// drain reads the rest of a body that is not long, so that the connection can
// be used again.
func drain(r io.Reader) { _, _ = io.CopyN(io.Discard, r, 64<<10) }

// A reply of more than smallReply bytes is read beside at most largeReplies-1
// others of its destination, so that a subscriber which answers every delivery
// with as much as it may does not fill the memory; and one that was too long
// keeps its turn for tooLongPause, so that it does not fill the processor.
// Other destinations do not wait for it.
const (
	smallReply   = 64 << 10
	largeReplies = 4
	tooLongPause = 5 * time.Second
)

// readAll reads to the end and fails if that is more than max bytes. The
// length that a peer announces is believed up to smallReply.
func (t *target) readAll(ctx context.Context, r io.Reader, length, max int64) ([]byte, error) {
	if length > max {
		return nil, tooLong(max)
	}
	if length == 0 {
		return nil, nil
	}
	if length < 0 {
		length = 512
	}
	body := make([]byte, 0, min(length, smallReply))
	r = io.LimitReader(r, max+1)
	for len(body) < smallReply {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := r.Read(body[len(body):min(cap(body), smallReply)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > max:
			return nil, tooLong(max)
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, brokeOff(err)
		}
	}
	return t.readLarge(ctx, body, r, max)
}

func tooLong(max int64) error  { return fmt.Errorf("its body is longer than %d bytes", max) }
func brokeOff(err error) error { return fmt.Errorf("its body broke off: %w", err) }

// pieces are what large replies are read into, so that those that prove to be
// too long leave nothing behind.
var pieces = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// readLarge reads what follows on body, when it is its turn.
func (t *target) readLarge(ctx context.Context, body []byte, r io.Reader, max int64) ([]byte, error) {
	select {
	case t.large <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("it is large, and waited too long for other large ones: %w", context.Cause(ctx))
	}
	pause, size := time.Duration(0), int64(len(body))
	defer func() { time.AfterFunc(pause, func() { <-t.large }) }()
	parts := [][]byte{body}
	for err := error(nil); err == nil; {
		piece := pieces.Get().(*[256 << 10]byte)
		defer pieces.Put(piece) // after they were put together
		n := 0
		for n < len(piece) && err == nil { // not io.ReadFull: that takes a body that broke off for its end
			var m int
			m, err = r.Read(piece[n:])
			n += m
		}
		parts, size = append(parts, piece[:n]), size+int64(n)
		switch {
		case size > max:
			pause = tooLongPause
			return nil, tooLong(max)
		case err != nil && !errors.Is(err, io.EOF):
			return nil, brokeOff(err)
		}
	}
	return bytes.Join(parts, nil), nil
}
