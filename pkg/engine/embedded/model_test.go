package embedded_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
	"leat.dev/leat/pkg/engine/enginetest"
)

// The model test must find what it is there for, and show it in a few calls.
func TestModelFindsPlantedBugs(t *testing.T) {
	for name, plant := range map[string]func(engine.Consumer) engine.Consumer{
		"an ack is lost":     func(c engine.Consumer) engine.Consumer { return lostAck{c} },
		"an attempt is lost": func(c engine.Consumer) engine.Consumer { return lostAttempt{c} },
		"a retry is an ack":  func(c engine.Consumer) engine.Consumer { return retryAcks{c} },
	} {
		t.Run(name, func(t *testing.T) {
			err := enginetest.Model(t, func(testing.TB) enginetest.Harness {
				return planted{store{fs: vfs.NewMem(), opts: embedded.Options{}}, plant}
			}, 1)
			if err == nil {
				t.Fatal("the bug was not found")
			}
			t.Log(err)
			_, list, _ := strings.Cut(err.Error(), "shrunk to")
			if n := strings.Count(list, ". "); n == 0 || n > 10 {
				t.Errorf("the failure was shrunk to %d calls, want at most 10", n)
			}
		})
	}
}

// planted are stores of an engine with a bug in its consumers.
type planted struct {
	store
	plant func(engine.Consumer) engine.Consumer
}

func (p planted) Open(t testing.TB) engine.Engine {
	t.Helper()
	return plantedEngine{p.store.Open(t), p}
}

type plantedEngine struct {
	engine.Engine
	planted
}

func (e plantedEngine) Stream(ctx context.Context, spec engine.StreamSpec) (engine.Stream, error) {
	s, err := e.Engine.Stream(ctx, spec)
	return plantedStream{s, e.planted}, err
}

type plantedStream struct {
	engine.Stream
	planted
}

func (s plantedStream) Consumer(ctx context.Context, spec engine.ConsumerSpec) (engine.Consumer, error) {
	c, err := s.Stream.Consumer(ctx, spec)
	return s.plant(c), err
}

type lostAck struct{ engine.Consumer }

func (c lostAck) Ack(ctx context.Context, seq engine.Seq) error {
	if seq == 3 {
		return nil
	}
	return c.Consumer.Ack(ctx, seq)
}

type lostAttempt struct{ engine.Consumer }

func (c lostAttempt) Next(ctx context.Context) (engine.Delivery, error) {
	d, err := c.Consumer.Next(ctx)
	d.Attempt = 0
	return d, err
}

type retryAcks struct{ engine.Consumer }

func (c retryAcks) Retry(ctx context.Context, seq engine.Seq, _ time.Duration) error {
	return c.Ack(ctx, seq)
}
