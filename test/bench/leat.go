package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"leat.dev/leat/test/harness"
)

// leat is leat serve on a new folder of its own.
type leat struct {
	*harness.Process
	dir string
}

// startLeat starts one with the routes, whose subscribers are at the URL.
func (b *bench) startLeat(r routes, subscriber string) (*leat, error) {
	dir, err := os.MkdirTemp(b.dir, "leat-bench-")
	if err != nil {
		return nil, err
	}
	manifests := filepath.Join(dir, "manifests")
	if err := os.Mkdir(manifests, 0o755); err != nil {
		return nil, err
	}
	for i, text := range r.manifests(subscriber) {
		if err := harness.WriteManifest(manifests, fmt.Sprintf("%d.yaml", i), text); err != nil {
			return nil, err
		}
	}
	p, err := harness.Run(harness.Config{
		Binary: b.leat, Manifests: manifests, Data: filepath.Join(dir, "data"),
		Args: []string{"--profiling"},
	})
	if err != nil {
		_ = os.RemoveAll(dir) // the first error says more
		return nil, err
	}
	return &leat{p, dir}, nil
}

// Stop ends the process and removes its folder.
func (l *leat) Stop() error {
	defer os.RemoveAll(l.dir)
	return l.Process.Stop()
}

// collect makes the process collect its garbage.
func (l *leat) collect() error {
	client := http.Client{Timeout: time.Minute}
	res, err := client.Get(l.Admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
