package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"leat.dev/leat/pkg/ingress"
)

// Limits of the listeners. They bound what a client can hold on to; the size of
// a body is the ingress room's to bound.
const (
	// readTimeout bounds header and body together: a bound of its own for the
	// header would set the connection's deadline once more for every request.
	readTimeout    = 60 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 256 << 10
	// maxConns bounds the connections for events, maxAdminConns those of another
	// listener.
	maxConns      = 16384
	maxAdminConns = 256
)

// newHTTPServer serves HTTP/1.1 and HTTP/2 without TLS (h2c, by prior
// knowledge).
func newHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:        handler,
		Protocols:      protocols,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ReadTimeout:    readTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ConnState:      ingress.ConnState,
		ConnContext:    ingress.ConnContext,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// listener is an HTTP server on its socket, from listen to close.
type listener struct {
	server *http.Server
	net    net.Listener
	front  *ingress.Front // nil if there is none
	failed chan error     // gets the error if serving ends before shutdown
	ended  chan struct{}
}

// serve answers requests on l until shutdown.
func serve(l net.Listener, server *http.Server) *listener {
	s := &listener{server: server, net: l, failed: make(chan error, 1), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return s
}

// serveEvents answers requests for events on l until shutdown.
func serveEvents(l *ingress.Listener, handler http.Handler, logger *slog.Logger) *listener {
	front := ingress.NewFront(l, handler, ingress.FrontOptions{ReadTimeout: readTimeout, IdleTimeout: idleTimeout})
	s := serve(front, newHTTPServer(handler, logger))
	s.front = front
	return s
}

// watch returns when ctx ends, or earlier with the error by which serving ended.
func (s *listener) watch(ctx context.Context, who string) error {
	select {
	case err := <-s.failed:
		return fmt.Errorf("the listener for %s failed: %w", who, err)
	case <-ctx.Done():
		return nil
	}
}

// shutdown takes no more requests, waits for those under way until ctx ends and
// then cuts them off.
func (s *listener) shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	if s.front != nil {
		err = errors.Join(err, s.front.Wait(ctx))
	}
	<-s.ended
	return err
}
