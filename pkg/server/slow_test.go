package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/ingress"
	"leat.dev/leat/pkg/routing"
)

// pipes is a listener of connections in memory, on which time is a test's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// slowly runs a client against the listener for events until the server ends
// the connection, and returns when that was and all that the server sent.
func slowly(t *testing.T, client func(io.Writer) error) (after time.Duration, got string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		gate := ingress.NewGate()
		name := routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: "b"}
		gate.SetStreams(map[routing.StreamName]engine.Stream{name: nil}, nil) // nothing may be stored
		in := &pipes{make(chan net.Conn), make(chan struct{})}
		logger := slog.New(slog.DiscardHandler)
		s := serveEvents(ingress.Bound(in, 10, ingress.NewBudget(0)), ingress.New(gate, ingress.Options{}), logger)

		ours, theirs := net.Pipe()
		in.conns <- theirs
		start := time.Now()
		sent := make(chan error, 1)
		go func() { sent <- client(ours) }()
		text, err := io.ReadAll(ours)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		after, got = time.Since(start), string(text)
		_ = ours.Close()
		<-sent
		if err := s.shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return after, got
}

// dribble writes text, and then one byte after the other.
func dribble(text string, pause time.Duration) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		for err == nil {
			time.Sleep(pause)
			_, err = io.WriteString(w, "x")
		}
		return err
	}
}

const eventHead = "POST /ns/b HTTP/1.1\r\nHost: x\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n"

// Senders that keep us waiting are cut off, and told why where they can be.
func TestSlowSenders(t *testing.T) {
	for name, x := range map[string]struct {
		client   func(io.Writer) error
		from, to time.Duration
		status   string
	}{
		"says nothing":         {func(io.Writer) error { return nil }, readTimeout, readTimeout, ""},
		"a header without end": {dribble("POST /", time.Second), readTimeout, readTimeout + 2*time.Second, "400"},
		"a body without end":   {dribble(eventHead+"Content-Length: 1000\r\n\r\n", time.Second), readTimeout, readTimeout + 2*time.Second, "408"},
		"a chunk without end":  {dribble(eventHead+"Transfer-Encoding: chunked\r\n\r\nfff\r\n", time.Second), readTimeout, readTimeout + 2*time.Second, "408"},
		"a body that stops": {func(w io.Writer) error {
			_, err := io.WriteString(w, eventHead+"Content-Length: 5\r\n\r\nx")
			return err
		}, readTimeout, readTimeout + 2*time.Second, "408"},
		"idle after a request":    {func(w io.Writer) error { _, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); return err }, idleTimeout, idleTimeout, "405"},
		"white space without end": {dribble("\r\n\r\n", time.Second), 0, readTimeout + 2*time.Second, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			after, got := slowly(t, x.client)
			if after < x.from || after > x.to || x.status == "" && got != "" || !strings.Contains(got, x.status) {
				t.Errorf("ended after %v with %q, want %v to %v with %q", after, got, x.from, x.to, x.status)
			}
		})
	}
}

// The same with HTTP/2.
func TestSlowSendersOfHTTP2(t *testing.T) {
	var block bytes.Buffer
	pseudo := 0 // bytes of the pseudo headers
	enc := hpack.NewEncoder(&block)
	for _, f := range []string{":method POST", ":scheme http", ":authority x", ":path /ns/b", "ce-specversion 1.0", "ce-id 1", "ce-source /s", "ce-type t"} {
		name, value, _ := strings.Cut(f, " ")
		if err := enc.WriteField(hpack.HeaderField{Name: name, Value: value}); err != nil {
			t.Fatal(err)
		}
		if f[0] == ':' {
			pseudo = block.Len()
		}
	}
	// every writes the preface and a first frame, and then another one each
	// second, or nothing.
	every := func(first, then func(*http2.Framer) error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, http2.ClientPreface)
			f := http2.NewFramer(w, nil)
			f.AllowIllegalWrites = true
			if err == nil {
				err = f.WriteSettings()
			}
			if err == nil {
				err = first(f)
			}
			for err == nil && then != nil {
				time.Sleep(time.Second)
				err = then(f)
			}
			return err
		}
	}
	nothing := func(*http2.Framer) error { return nil }
	header := func(end bool) func(*http2.Framer) error {
		return func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: end})
		}
	}
	// notTaken asks for an answer with a text, and lets none of the text out.
	notTaken := func(f *http2.Framer) error {
		err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		if err != nil {
			return err
		}
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()[:pseudo], EndHeaders: true, EndStream: true})
	}
	for name, x := range map[string]struct {
		client func(io.Writer) error
		to     time.Duration
	}{
		"an answer that is not taken": {every(notTaken, nil), idleTimeout + 20*time.Second},
		"half a preface":              {dribble("PRI * HTTP/2.0\r\n\r\n", time.Second), readTimeout + 2*time.Second},
		"no settings":                 {func(w io.Writer) error { _, err := io.WriteString(w, http2.ClientPreface); return err }, 10 * time.Second},
		"says nothing":                {every(nothing, nil), idleTimeout + 2*time.Second},
		"pings":                       {every(nothing, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }), idleTimeout + 2*time.Second},
		"a header without end":        {every(header(false), nil), idleTimeout + 2*time.Second},
		"a header of many frames":     {every(header(false), func(f *http2.Framer) error { return f.WriteContinuation(1, false, nil) }), idleTimeout + 2*time.Second},
		"a body without end":          {every(header(true), func(f *http2.Framer) error { return f.WriteData(1, false, []byte("x")) }), readTimeout + idleTimeout + 5*time.Second},
		"a body that stops":           {every(header(true), nil), readTimeout + idleTimeout + 5*time.Second},
		"a body of nothing, with end": {every(header(true), func(f *http2.Framer) error { return f.WriteData(1, false, nil) }), readTimeout + idleTimeout + 5*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			after, got := slowly(t, x.client)
			if after > x.to {
				t.Errorf("ended after %v, want %v", after, x.to)
			}
			t.Logf("ended after %v; %s", after, frames(got))
		})
	}
}

// frames says which frames of HTTP/2 there are in a text.
func frames(text string) string {
	f := http2.NewFramer(io.Discard, strings.NewReader(text))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var said []string
	say := func(what string) {
		if len(said) == 0 || said[len(said)-1] != what {
			said = append(said, what)
		}
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return strings.Join(said, ", ")
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			say("status " + frame.PseudoValue("status"))
		case *http2.RSTStreamFrame:
			say(fmt.Sprint("reset ", frame.ErrCode))
		case *http2.GoAwayFrame:
			say(fmt.Sprint("goaway ", frame.ErrCode))
		}
	}
}
