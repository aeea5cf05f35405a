package embedded_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is an engine's folder in memory.
type store struct {
	fs   vfs.FS
	opts embedded.Options
}

func (s store) Open(t testing.TB) engine.Engine {
	t.Helper()
	opts := s.opts
	opts.FS = s.fs
	e, err := embedded.Open("data", opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(testing.TB) enginetest.Harness {
		return store{fs: vfs.NewMem(), opts: embedded.Options{CheckpointEvery: 2 * time.Millisecond}}
	})
}

// With next to no memory for the newest records nearly all is read from disk.
func TestEngineReadsFromDisk(t *testing.T) {
	enginetest.Run(t, func(testing.TB) enginetest.Harness {
		return store{fs: vfs.NewMem(), opts: embedded.Options{TailBytes: 200}}
	})
}
