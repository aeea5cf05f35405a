package kubesource_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	apirest "k8s.io/client-go/rest"

	"leat.dev/leat/pkg/kube/mirror"
	"leat.dev/leat/pkg/kube/mirror/mirrortest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/kubesource"
)

// big is a cluster with one Broker and n Triggers of it, over HTTP.
type big struct {
	*cluster
	source *kubesource.Source
	tables chan *routing.Table
	close  func()
}

func newBig(b *testing.B, n int) *big {
	c := newCluster()
	c.brokers.Put(broker("orders", "Leat"))
	c.triggers.Put(triggers(n, "t", "orders")...)
	server := httptest.NewServer(mirrortest.Serve(map[string]http.Handler{
		"brokers": c.brokers, "triggers": c.triggers, "leatchannels": c.channels, "subscriptions": c.subscriptions,
	}))
	api, err := mirror.NewAPI(&apirest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		b.Fatal(err)
	}
	clients, err := kubesource.NewClients(api)
	if err != nil {
		b.Fatal(err)
	}
	source, err := kubesource.New(kubesource.Options{Clients: clients, BaseURL: baseURL})
	if err != nil {
		b.Fatal(err)
	}
	return &big{cluster: c, source: source, tables: make(chan *routing.Table), close: func() {
		api.HTTP.CloseIdleConnections()
		server.Close()
	}}
}

// run runs the Source until the function that it returns is called.
func (b *big) run(t *testing.B) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		_ = b.source.Run(ctx, func(t *routing.Table) {
			select {
			case b.tables <- t:
			case <-ctx.Done():
			}
		})
	})
	return func() { cancel(); running.Wait() }
}

func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools still held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// BenchmarkStart is the time until the first table, and what of the heap the
// Source then holds: its copies of the objects and the table.
func BenchmarkStart(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				c := newBig(b, n)
				before := heap()
				b.StartTimer()
				stop := c.run(b)
				table := <-c.tables
				b.StopTimer()
				if got := len(table.Streams[orders].Routes); got != n {
					b.Fatalf("%d routes", got)
				}
				b.ReportMetric(heap()-before, "MiB-held")
				runtime.KeepAlive(table)
				stop()
				c.close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkChange is the time from the change of one Trigger to the table that
// has it.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newBig(b, n)
			defer c.close()
			defer c.run(b)()
			<-c.tables
			one := triggers(1, "t", "orders")[0]
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				time.Sleep(200 * time.Millisecond) // a quiet time
				one.Status.SubscriberURI = uri(fmt.Sprintf("http://service-%d", i))
				b.StartTimer()
				c.triggers.Put(one)
				<-c.tables
			}
		})
	}
}
