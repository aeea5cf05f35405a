package dispatch

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/deliver"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// readyConsumer hands out one record for ever; nothing else is ready.
type readyConsumer struct {
	engine.Consumer
	data []byte
	left chan engine.Seq
	done chan struct{}
	n    int
}

func (c *readyConsumer) Next(ctx context.Context) (engine.Delivery, error) {
	select {
	case seq := <-c.left:
		return engine.Delivery{Record: engine.Record{Seq: seq, Data: c.data}}, nil
	case <-ctx.Done():
		return engine.Delivery{}, ctx.Err()
	}
}

func (c *readyConsumer) Ack(_ context.Context, seq engine.Seq) error {
	if int(seq) == c.n {
		close(c.done)
	}
	return nil
}

func (c *readyConsumer) Close() error { return nil }

type readyStream struct {
	engine.Stream
	consumer *readyConsumer
}

func (s readyStream) Consumers(context.Context) ([]string, error) { return nil, nil }
func (s readyStream) Consumer(context.Context, engine.ConsumerSpec) (engine.Consumer, error) {
	return s.consumer, nil
}

type acceptAll struct{}

func (acceptAll) Send(context.Context, *routing.Destination, *cloudevent.Event, deliver.SendOptions) deliver.Outcome {
	return deliver.Outcome{Status: 202}
}

// BenchmarkPump is what a pump adds to one delivery, without engine and HTTP.
func BenchmarkPump(b *testing.B) {
	for name, route := range map[string]*routing.Route{"delivered": trigger("a"), "filtered": trigger("a", onlyType("u"))} {
		b.Run(name, func(b *testing.B) {
			e := event("1")
			e.SetInt(ttlAttribute, 255)
			e.SetData(make([]byte, 1024))
			c := &readyConsumer{data: e.AppendStored(nil), left: make(chan engine.Seq, 1024), done: make(chan struct{}), n: b.N}
			d := New(Options{Engine: newFakeEngine(), Sender: acceptAll{}})
			if err := d.Apply(b.Context(), tableOf(true, route), map[routing.StreamName]engine.Stream{broker: readyStream{consumer: c}}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				c.left <- engine.Seq(i + 1)
			}
			<-c.done
			b.StopTimer()
			_ = d.Close(b.Context())
		})
	}
}

// BenchmarkIdleRoutes reports what 1,000 routes without traffic cost, and how
// long it takes to apply them.
func BenchmarkIdleRoutes(b *testing.B) {
	const n = 1000
	routes := make([]*routing.Route, n)
	for i := range routes {
		routes[i] = trigger(fmt.Sprintf("r%04d", i), onlyType(fmt.Sprint(i)))
	}
	for b.Loop() {
		e := newFakeEngine()
		s, _ := e.Stream(b.Context(), engine.StreamSpec{Name: broker.String()})
		d := New(Options{Engine: e, Sender: acceptAll{}})
		before := inUse()
		if err := d.Apply(b.Context(), tableOf(true, routes...), map[routing.StreamName]engine.Stream{broker: s}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(inUse()-before)/n, "bytes/route")
		_ = d.Close(b.Context())
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
