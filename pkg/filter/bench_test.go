package filter

import (
	"context"
	"testing"

	"leat.dev/leat/pkg/routing"
)

// BenchmarkMatch runs each filter over one event, ours and, as the baseline,
// Knative's library, for which the event is in the SDK's form already.
func BenchmarkMatch(b *testing.B) {
	expr := func(e ...routing.Expr) routing.Filter { return routing.Filter{Filters: e} }
	for _, bench := range []struct {
		name   string
		filter routing.Filter
	}{
		{"attributes", routing.Filter{Attributes: attrs{"type": "shop.order.created", "source": ""}}},
		{"exact", expr(exact("type", "shop.order.created"))},
		{"exact-extension", expr(exact("region", "us"))},
		{"prefix", expr(prefix("type", "shop."))},
		{"suffix", expr(suffix("type", ".created"))},
		{"not", expr(notOf(exact("type", "other")))},
		{"all", expr(exact("type", "shop.order.created"), prefix("source", "/shop"), suffix("subject", "7"))},
		{"any", expr(anyOne(exact("type", "a"), exact("type", "b"), exact("type", "shop.order.created")))},
		{"cesql", expr(sql("type LIKE 'shop.%' AND priority > 5"))},
	} {
		e := order()
		b.Run(bench.name+"/leat", func(b *testing.B) {
			f, err := Compile(bench.filter)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				f.Match(e)
			}
		})
		b.Run(bench.name+"/knative", func(b *testing.B) {
			f := upstream(bench.filter)
			sdk, err := e.SDK()
			if err != nil {
				b.Fatal(err)
			}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				f.Filter(ctx, *sdk)
			}
		})
	}
}
