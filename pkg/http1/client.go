// Package http1 is the client's side of plain HTTP/1.1, over connections that it
// keeps.
//
// A request is written and its response read in the goroutine of who asks. The
// Transport of net/http has two goroutines for each connection and hands every
// request and response over to them, which was a third of what a delivery cost
// (docs/adr/0013). Responses are parsed by net/http.
package http1

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Options of a Client. The zero value is usable.
type Options struct {
	// DialTimeout bounds the making of a connection; 0 is ten seconds.
	DialTimeout time.Duration
	// MaxIdlePerHost and MaxIdle are how many connections are kept at most to one
	// address and to all; 0 is 1024 and 4096.
	MaxIdlePerHost, MaxIdle int
	// IdleTimeout is how long an idle connection is kept at least, and at most
	// twice; 0 is 90 seconds.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the header of a response; 0 is 1 MiB.
	MaxHeaderBytes int64
}

// Client makes requests. It is safe for concurrent use.
type Client struct {
	idle
	dialer         net.Dialer
	maxHeaderBytes int64
}

// New returns a client. CloseIdle releases its connections.
func New(o Options) *Client {
	c := &Client{
		idle: idle{
			timeout: or(o.IdleTimeout, 90*time.Second),
			perHost: or(o.MaxIdlePerHost, 1024), max: or(o.MaxIdle, 4096),
			byAddr: make(map[string][]*conn),
		},
		dialer:         net.Dialer{Timeout: or(o.DialTimeout, 10*time.Second), KeepAlive: 30 * time.Second},
		maxHeaderBytes: or(o.MaxHeaderBytes, 1<<20),
	}
	return c
}

func or[T int | int64 | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

// maxInline is the length up to which a request is written before its response
// is read. As much always fits between the two ends of a connection, so that a
// server which answers without reading is heard.
const maxInline = 16 << 10

// writerWait is how long a whole response waits for the writer of its request,
// which may be done and only has not had its turn to say so.
const writerWait = 50 * time.Millisecond

// Do sends a POST to addr (host:port) and reads the response's header. header is
// the request's from its first to its empty line, and fits body. Neither may be
// changed until Do has returned an error or the response's Body is closed, which
// the caller must do.
//
// When ctx ends, so does the request, until its Body is closed; the error is
// ctx's. A request that was written, even in part, is not sent again. The Body is
// for one goroutine.
func (c *Client) Do(ctx context.Context, addr string, header, body []byte) (*http.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // nothing may be written
	}
	conn, err := c.get(ctx, addr)
	if err != nil {
		return nil, err
	}
	x := &exchange{client: c, conn: conn, ctx: ctx}
	x.stop = context.AfterFunc(ctx, conn.interrupt)
	resp, err := x.do(header, body)
	if err != nil {
		x.end(false)
		return nil, x.explain(err)
	}
	return resp, nil
}

func (c *Client) get(ctx context.Context, addr string) (*conn, error) {
	for {
		kept := c.take(addr)
		if kept == nil {
			break
		}
		if kept.alive() {
			return kept, nil
		}
		kept.close()
	}
	made, err := c.dialer.DialContext(ctx, "tcp", addr)
	if ended := ctx.Err(); err != nil && ended != nil {
		return nil, fmt.Errorf("dialing %s: %w", addr, ended)
	}
	if err != nil {
		return nil, err
	}
	return newConn(made, addr), nil
}

// exchange is one request and its response on a connection.
type exchange struct {
	client *Client
	conn   *conn
	ctx    context.Context
	// stop keeps the end of ctx from interrupting the connection, and says
	// whether it came in time.
	stop func() bool
	// writing gets the outcome of a large request's writing; nil for a small one.
	writing chan error
}

func (x *exchange) do(header, body []byte) (*http.Response, error) {
	if len(header)+len(body) <= maxInline {
		if err := x.conn.write(header, body); err != nil {
			return nil, err
		}
	} else {
		x.writing = make(chan error, 1)
		go func() { x.writing <- x.conn.write(header, body) }()
	}
	resp, err := x.readHeader()
	if err != nil {
		return nil, err
	}
	fit := !resp.Close && resp.StatusCode >= 200
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		resp.Body = http.NoBody
		x.end(fit)
		return resp, nil
	}
	resp.Body = &responseBody{exchange: x, in: resp.Body, fit: fit}
	return resp, nil
}

var post = &http.Request{Method: http.MethodPost}

// readHeader reads the header of the response that counts, which those of 1xx
// before it do not. The bound is of all together.
func (x *exchange) readHeader() (*http.Response, error) {
	x.conn.left = x.client.maxHeaderBytes
	for {
		resp, err := http.ReadResponse(x.conn.in, post)
		if err != nil && x.conn.left <= 0 {
			err = errLongHeader // where it was cut off, it may look malformed
		}
		if err != nil {
			return nil, fmt.Errorf("reading the response: %w", err)
		}
		informational := resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols
		if !informational {
			x.conn.left = unlimited
			return resp, nil
		}
	}
}

// end gives the connection back if it is fit for another request, and closes it
// otherwise.
func (x *exchange) end(fit bool) {
	fit = x.stop() && fit && x.conn.in.Buffered() == 0
	if x.writing != nil {
		fit = x.written(fit)
	}
	if fit {
		x.client.put(x.conn)
	} else {
		x.conn.close()
	}
}

// written waits for the writer, whom it stops at once if the connection is not
// fit, and soon if the server has answered without reading all. It returns
// whether the connection is fit and all was written.
func (x *exchange) written(fit bool) bool {
	if !fit {
		x.conn.close()
	}
	late := time.AfterFunc(writerWait, x.conn.close)
	err := <-x.writing
	return late.Stop() && err == nil && fit
}

// explain returns the reason of an error: the context's, if that has ended.
func (x *exchange) explain(err error) error {
	if ended := x.ctx.Err(); ended != nil {
		return ended
	}
	return err
}
