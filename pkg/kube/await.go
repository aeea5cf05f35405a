package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"leat.dev/leat/pkg/kube/settings"
)

// awaitSettings waits for the first settings. Until then it answers on the
// status address that the process lives and is not ready: with the API server
// away that takes as long as it takes, and being killed for it would not help.
// If ctx ends before, the settings are none.
func awaitSettings(ctx context.Context, o options, log *slog.Logger, first <-chan settings.Settings) (settings.Settings, error) {
	answer, err := answerWaiting(o.status, log)
	if err != nil {
		return settings.Settings{}, err
	}
	var s settings.Settings
	select {
	case s = <-first:
	case <-ctx.Done():
	}
	return s, answer()
}

// answerWaiting answers probes until the function that it returns is called.
func answerWaiting(address string, log *slog.Logger) (end func() error, err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for probes on %s: %w; choose another address with --status", address, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the settings are being read from the API server", http.StatusServiceUnavailable)
	})
	s := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(listener) }()
	return func() error {
		err := s.Close()
		if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		return err
	}, nil
}
