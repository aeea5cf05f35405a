package embedded_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
)

func openBench(b *testing.B) engine.Stream {
	b.Helper()
	e, err := embedded.Open(b.TempDir(), embedded.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	s, err := e.Stream(b.Context(), engine.StreamSpec{Name: "broker/default/bench"})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkAppend is 64 callers that each append 1 KiB and wait for the sync.
func BenchmarkAppend(b *testing.B) {
	s := openBench(b)
	b.SetBytes(1024)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Append(context.Background(), engine.Payload{Data: make([]byte, 1024), Type: "t", Source: "s"}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkAppendConsume is the same with one consumer that keeps up.
func BenchmarkAppendConsume(b *testing.B) {
	s := openBench(b)
	c, err := s.Consumer(b.Context(), engine.ConsumerSpec{Name: "r", MaxInFlight: 100})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1024)
	b.SetParallelism(32)
	b.ResetTimer()
	var done sync.WaitGroup
	var got atomic.Int64
	for range 4 {
		done.Go(func() {
			for got.Add(1) <= int64(b.N) {
				d, err := c.Next(context.Background())
				if err != nil {
					b.Error(err)
					return
				}
				if err := c.Ack(context.Background(), d.Seq); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Append(context.Background(), engine.Payload{Data: make([]byte, 1024), Type: "t", Source: "s"}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	done.Wait()
}
