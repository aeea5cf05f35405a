package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

// BenchmarkApply applies tables in which one route of many has changed.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, err := newPlane(Options{
				Version: "test", Logger: slog.New(slog.DiscardHandler), Data: b.TempDir(), Status: "-",
				MaxEventBytes: 1 << 20, DeliveryTimeout: time.Minute, Fatal: func(msg string) { panic(msg) },
			})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := errors.Join(p.dispatcher.Close(context.Background()), p.engine.Close(), p.metrics.Close()); err != nil {
					b.Error(err)
				}
			}()
			table := func(retry int) *routing.Table {
				s := &routing.Stream{Name: well, UID: "w"}
				for i := range n {
					s.Routes = append(s.Routes, &routing.Route{
						ID: fmt.Sprintf("trigger/a/t%06d/uid", i), Kind: "Trigger", Namespace: "a", Name: fmt.Sprint("t", i), Stream: well,
						Subscriber: &routing.Destination{URL: "http://subscriber.example"}, MaxInFlight: 100,
						Filter: routing.Filter{Attributes: map[string]string{"type": fmt.Sprint("type", i)}},
					})
				}
				s.Routes[n/2].Delivery.Retry = retry
				return &routing.Table{Complete: true, Streams: map[routing.StreamName]*routing.Stream{well: s}}
			}
			p.apply(b.Context(), table(0))
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				t := table(i)
				b.StartTimer()
				p.apply(b.Context(), t)
			}
		})
	}
}
