package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a connection with a response, whose writer returns a while after the
// connection was closed or the time for writing is over.
type slow struct {
	net.Conn
	response *strings.Reader
	// after is when the writer is done of itself, with the error fails.
	after   time.Duration
	fails   error
	once    sync.Once
	closed  chan struct{}
	written bool
}

const lag = time.Second

func (s *slow) Read(p []byte) (int, error) { return s.response.Read(p) }

func (s *slow) Write(p []byte) (int, error) {
	if len(p) < maxInline {
		return len(p), nil // the header
	}
	defer func() { s.written = true }()
	select {
	case <-s.closed:
		time.Sleep(lag)
		return 0, net.ErrClosed
	case <-time.After(s.after):
		return len(p), s.fails
	}
}

func (s *slow) SetDeadline(time.Time) error { return nil }

func (s *slow) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// The exchange of a large request ends when its writer has, who is stopped as soon
// as it is clear that the connection is of no more use.
func TestWriterEndsWithTheExchange(t *testing.T) {
	const unfit = ok + "Connection: close\r\nContent-Length: 3\r\n\r\none"
	for name, test := range map[string]struct {
		response string
		after    time.Duration
		fails    error
		took     time.Duration
		kept     bool
	}{
		"done in time":         {okOne, writerWait / 2, nil, writerWait / 2, true},
		"not done":             {okOne, time.Hour, nil, writerWait + lag, false},
		"fails":                {okOne, writerWait / 2, errors.New("broken pipe"), writerWait / 2, false},
		"of no more use":       {unfit, time.Hour, nil, lag, false},
		"no body":              {ok + "Content-Length: 0\r\n\r\n", writerWait / 2, nil, writerWait / 2, true},
		"no response":          {"", time.Hour, nil, lag, false},
		"the body breaks off":  {okOne[:len(okOne)-1], time.Hour, nil, lag, false},
		"more than a response": {okOne + "x", time.Hour, nil, lag, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &slow{response: strings.NewReader(test.response), after: test.after, fails: test.fails, closed: make(chan struct{})}
				c := New(Options{})
				defer c.CloseIdle()
				c.put(newConn(conn, "a:1"))
				start := time.Now()
				send(t.Context(), c, "a:1", large)
				if took := time.Since(start); took != test.took || !conn.written {
					t.Errorf("took %v, the writer is done: %v", took, conn.written)
				}
				if kept := c.n == 1; kept != test.kept {
					t.Errorf("kept: %v", kept)
				}
			})
		})
	}
}

// A context that ends between the last byte and Close has interrupted the
// connection: it is not kept.
func TestContextEndsBeforeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		conn := &slow{response: strings.NewReader(okOne), closed: make(chan struct{})}
		c.put(newConn(conn, "a:1"))
		ctx, cancel := context.WithCancel(t.Context())
		header, body := requestOf(small)
		resp, err := c.Do(ctx, "a:1", header, body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); string(b) != "one" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		cancel()
		synctest.Wait()
		resp.Body.Close()
		if c.n != 0 {
			t.Error("it is kept")
		}
		<-conn.closed
	})
}

// A small request that cannot be written ends with its context too.
func TestContextEndsWhileWriting(t *testing.T) {
	ours, peer := net.Pipe() // has no buffer
	defer peer.Close()
	c := newClient(t, Options{})
	c.put(newConn(ours, "a:1"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if g := send(ctx, c, "a:1", small); !errors.Is(g.do, context.DeadlineExceeded) {
		t.Error(g)
	}
	_ = peer.SetDeadline(time.Now().Add(patience))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is not closed: %v", err)
	}
}
