package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

const (
	testRead = 60 * time.Second
	testIdle = 120 * time.Second
	// frontBody is the limit of bodies: past a Front's buffer and what a body has
	// for itself.
	frontBody = 20 << 10
)

// stand is a server for events: a Front and net/http, or net/http alone.
type stand struct {
	world    *world
	budget   *Budget
	listener *Listener
	handler  http.Handler
	front    *Front // nil if there is none
	server   *http.Server
	ended    chan struct{}
	// handed counts the connections that net/http got.
	handed atomic.Int64
	// sizes are how many bytes the reads of the next connections return at most,
	// one after the other and again; none for no bound. Where they are set, clients
	// close their side, and are not reset before they have read all answers.
	sizes atomic.Pointer[[]int]

	mu       sync.Mutex
	observed []string
	logged   strings.Builder
}

// newStand serves the connections of a listener until the test ends.
func newStand(t testing.TB, l net.Listener, front bool) *stand {
	s := &stand{world: newWorld(), budget: NewBudget(frontBody), ended: make(chan struct{})}
	// More than there are: net/http keeps one half a second that it has refused, and
	// a new one would have to go for those.
	s.listener = Bound(shortReads{l, s}, 100_000, s.budget)
	s.handler = New(s.world.gate, Options{MaxBodyBytes: frontBody, Budget: s.budget, Observer: s, Logger: slog.New(slog.NewTextHandler(s, nil))})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler: s.handler, Protocols: protocols, ReadTimeout: testRead, IdleTimeout: testIdle, MaxHeaderBytes: 256 << 10,
		ConnContext: ConnContext, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.handed.Add(1)
			}
			ConnState(c, state)
		},
	}
	on := net.Listener(s.listener)
	if front {
		s.front = NewFront(s.listener, s.handler, FrontOptions{ReadTimeout: testRead, IdleTimeout: testIdle})
		on = s.front
	}
	go func() {
		defer close(s.ended)
		if err := s.server.Serve(on); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { s.stop(t) })
	return s
}

// stop ends the server and all its connections. It may be called twice.
func (s *stand) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.listener.each(func(c *conn) { _ = c.Close() })
	err := s.server.Shutdown(ctx)
	if s.front != nil {
		err = errors.Join(err, s.front.Wait(ctx))
	}
	<-s.ended
	if err != nil {
		t.Error(err)
	}
}

// socket is a listener on a socket of this machine alone.
func socket(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Received implements Observer.
func (s *stand) Received(stream routing.StreamName, eventType string, status int, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observed = append(s.observed, fmt.Sprintf("%s %q %d", stream, eventType, status))
}

// Write takes what is logged.
func (s *stand) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logged.Write(p)
}

func (s *stand) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logged.String()
}

// became says what was stored and observed since it was last asked.
func (s *stand) became(t testing.TB) []string {
	t.Helper()
	var all []string
	for name, stream := range map[string]*fakeStream{"broker": s.world.broker, "channel": s.world.channel} {
		events := stream.events(t)
		for i, p := range stream.payloads() {
			all = append(all, fmt.Sprintf("%s %d: type %q, source %q, key %q, %s", name, i, p.Type, p.Source, p.Key, said(&events[i])))
		}
		stream.mu.Lock()
		stream.appended = nil
		stream.mu.Unlock()
	}
	slices.Sort(all)
	s.mu.Lock()
	defer s.mu.Unlock()
	all, s.observed = append(all, s.observed...), nil
	return all
}

// said is all that an event says, but for its time of arrival.
func said(e *cloudevent.Event) string {
	var all []string
	for name, v := range e.Attributes() {
		if name != arrivalAttribute {
			all = append(all, fmt.Sprintf("%s=%q", name, v.S))
		}
	}
	for name, value := range e.Header() {
		all = append(all, fmt.Sprintf("%s:%q", name, value))
	}
	slices.Sort(all)
	return fmt.Sprintf("%s data %q", strings.Join(all, " "), e.Data())
}

// shortReads are connections whose reads return no more than a stand says.
type shortReads struct {
	net.Listener
	stand *stand
}

func (l shortReads) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	sizes := l.stand.sizes.Load()
	if unix, ok := c.(*net.UnixConn); ok && sizes != nil {
		return &shortRead{UnixConn: unix, sizes: *sizes}, err
	}
	return c, err
}

type shortRead struct {
	*net.UnixConn
	sizes []int
	reads int
}

func (c *shortRead) Close() error {
	if c.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(5*time.Second)) == nil {
		_, _ = io.Copy(io.Discard, c.UnixConn) // until the client has said all
	}
	return c.UnixConn.Close()
}

func (c *shortRead) Read(p []byte) (int, error) {
	if len(c.sizes) == 0 {
		return c.UnixConn.Read(p)
	}
	n := c.sizes[c.reads%len(c.sizes)]
	c.reads++
	return c.UnixConn.Read(p[:min(len(p), n)])
}

// open connects to a stand. All that is done with the connection takes 10 s at
// most.
func (s *stand) open(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial(s.listener.Addr().Network(), s.listener.Addr().String())
	if err == nil {
		err = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it may be closed already
	return c
}

// say sends bytes, closes that side of the connection and returns all that comes
// back.
func (s *stand) say(t testing.TB, text string) string {
	t.Helper()
	c := s.open(t)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, text) // the server may have heard enough
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	_ = c.Close() // so that nobody waits for what is not read
	<-sent
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("no end of the answers to %q: %q", text, got)
	}
	return string(got)
}

// Requests in the words of these tests.
const eventHead = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n"

// plainPost is a plain request with a body.
func plainPost(body string) string {
	return fmt.Sprintf("POST /ns/default HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", eventHead, len(body), body)
}
