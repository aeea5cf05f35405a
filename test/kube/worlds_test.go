package kube

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// logLines is how much of a log is shown when something failed.
const logLines = 50

// A worldSet is where tests get their worlds from.
type worldSet struct {
	dir string
	// start starts the shared one, once.
	start func() (*world, error)
	// calm is the shared one, nil until it was started.
	calm *world
	// few is how many worlds of one test alone are there at a time: each needs
	// a kube-apiserver of 300 MB.
	few chan struct{}
}

var worlds *worldSet

func newWorlds(dir string) *worldSet {
	s := &worldSet{dir: dir, few: make(chan struct{}, 3)}
	s.start = sync.OnceValues(func() (*world, error) {
		var err error
		s.calm, err = startWorld(context.Background(), filepath.Join(dir, "calm"))
		return s.calm, err
	})
	return s
}

// close ends the shared world, and shows its logs if something went wrong.
func (s *worldSet) close(failed bool) error {
	if s.calm == nil {
		return nil
	}
	err := s.calm.close()
	if failed || err != nil {
		fmt.Fprintln(os.Stderr, s.calm.logs())
	}
	return err
}

// logs returns what the programs logged last.
func (w *world) logs() string {
	var b strings.Builder
	for _, p := range w.programs() {
		lines := logLines
		if p.path == controlPlane {
			lines = 10
		}
		fmt.Fprintf(&b, "---- the end of %s ----\n%s\n", p.log, p.tail(lines))
	}
	return b.String()
}

// calm is the world that tests share; nobody stops a program of it. The test
// runs beside others.
func calm(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	dependOnSources(t)
	w, err := worlds.start()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// rough is a world of this test alone, which may stop what it likes. The test
// runs beside others.
func rough(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	dependOnSources(t)
	worlds.few <- struct{}{}
	t.Cleanup(func() { <-worlds.few })
	dir, err := os.MkdirTemp(worlds.dir, "rough-")
	must(t, err)
	w, err := startWorld(context.Background(), dir)
	if w != nil {
		t.Cleanup(func() {
			if err := w.close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Log(w.logs())
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}
