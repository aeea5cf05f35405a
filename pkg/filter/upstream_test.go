package filter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	sdkevent "github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"
	v1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/eventfilter"
	"knative.dev/eventing/pkg/eventfilter/attributes"
	"knative.dev/eventing/pkg/eventfilter/subscriptionsapi"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// upstream compiles the filter with Knative's library.
func upstream(f routing.Filter) eventfilter.Filter {
	if len(f.Filters) == 0 {
		return attributes.NewAttributesFilter(f.Attributes)
	}
	return subscriptionsapi.CreateSubscriptionsAPIFilters(zap.NewNop(), knativeExprs(f.Filters))
}

func knativeExprs(exprs []routing.Expr) []v1.SubscriptionsAPIFilter {
	out := make([]v1.SubscriptionsAPIFilter, len(exprs))
	for i, e := range exprs {
		out[i] = v1.SubscriptionsAPIFilter{
			All: knativeExprs(e.All), Any: knativeExprs(e.Any),
			Exact: e.Exact, Prefix: e.Prefix, Suffix: e.Suffix, CESQL: e.CESQL,
		}
		if e.Not != nil {
			out[i].Not = &knativeExprs([]routing.Expr{*e.Not})[0]
		}
	}
	return out
}

// oracle evaluates a filter with Knative's library, but for all and any: the
// library's swap their members in goroutines of their own, which is a data
// race with Filter and makes Cleanup panic.
func oracle(e routing.Expr) eventfilter.Filter {
	switch {
	case len(e.All) > 0:
		return oracleList{e.All, eventfilter.FailFilter}
	case len(e.Any) > 0:
		return oracleList{e.Any, eventfilter.PassFilter}
	case e.Not != nil:
		return subscriptionsapi.NewNotFilter(oracle(*e.Not))
	}
	return subscriptionsapi.MaterializeSubscriptionsAPIFilter(zap.NewNop(), knativeExprs([]routing.Expr{e})[0])
}

// oracleList is all or any: the first member with the result until decides.
type oracleList struct {
	exprs []routing.Expr
	until eventfilter.FilterResult
}

func (l oracleList) Filter(ctx context.Context, e sdkevent.Event) (result eventfilter.FilterResult) {
	for _, expr := range l.exprs {
		if result = oracle(expr).Filter(ctx, e); result == l.until {
			break
		}
	}
	return result
}

func (oracleList) Cleanup() {}

// Upstream's library decides as we do, but for the differences that the
// package comment lists; the generator leaves those out.
func FuzzAgainstUpstream(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := newGenerator(seed)
		filter := g.filter()
		compiled, err := Compile(filter)
		if err != nil {
			t.Fatal(err)
		}
		knative := upstream(routing.Filter{Attributes: filter.Attributes})
		if len(filter.Filters) > 0 {
			knative = oracle(routing.Expr{All: filter.Filters})
		}
		for range 20 {
			e := g.event()
			sdk, err := e.SDK()
			if err != nil {
				t.Fatal(err)
			}
			want := knative.Filter(context.Background(), *sdk) != eventfilter.FailFilter
			if got := compiled.Match(e); got != want {
				t.Fatalf("%+v\n%v\nMatch = %t, upstream %t", filter, sdk, got, want)
			}
		}
	})
}

// generator makes filters and events from few words, so that they often meet.
type generator struct {
	*rand.Rand
	mistakes bool
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) event() *cloudevent.Event {
	var e cloudevent.Event
	e.Set("id", pick(g, "1", "2"))
	for _, name := range []string{"source", "type"} {
		e.Set(name, pick(g, "a", "b", "ab", "ba"))
	}
	for _, name := range []string{"subject", "ext"} {
		if v := pick(g, "", "a", "b", "ab", "ba"); v != "" {
			e.Set(name, v)
		}
	}
	if g.IntN(2) == 0 {
		e.SetInt("number", int32(g.IntN(3)))
	}
	return &e
}

func (g *generator) filter() routing.Filter {
	if g.IntN(5) == 0 {
		return routing.Filter{Attributes: g.words(true)}
	}
	return routing.Filter{Filters: g.exprs(0)}
}

func (g *generator) exprs(depth int) []routing.Expr {
	exprs := make([]routing.Expr, 1+g.IntN(3))
	for i := range exprs {
		exprs[i] = g.expr(depth)
	}
	return exprs
}

func (g *generator) expr(depth int) routing.Expr {
	kinds := 7
	if depth > 3 {
		kinds = 4
	}
	switch g.IntN(kinds) {
	case 0:
		return routing.Expr{Exact: g.words(false)}
	case 1:
		return routing.Expr{Prefix: g.words(false)}
	case 2:
		return routing.Expr{Suffix: g.words(false)}
	case 3:
		return routing.Expr{CESQL: g.sql()}
	case 4:
		return routing.Expr{All: g.exprs(depth + 1)}
	case 5:
		return routing.Expr{Any: g.exprs(depth + 1)}
	}
	inner := g.expr(depth + 1)
	return routing.Expr{Not: &inner}
}

func (g *generator) words(anyValue bool) attrs {
	m := attrs{}
	for range 1 + g.IntN(2) {
		value := pick(g, "a", "b", "ab", "1")
		if anyValue && g.IntN(4) == 0 {
			value = ""
		}
		names := []string{"type", "source", "subject", "ext", "nosuch"}
		if !anyValue {
			names = append(names, "number")
		}
		m[pick(g, names...)] = value
	}
	return m
}

func (g *generator) sql() string {
	if g.mistakes && g.IntN(3) == 0 {
		return pick(g, "type =", "type", "SUBSTRING(type, 1, -5) = 'a'")
	}
	name, value := pick(g, "type", "source", "subject", "ext", "nosuch"), pick(g, "a", "b", "ab")
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("%s = '%s'", name, value)
	case 1:
		return fmt.Sprintf("%s LIKE '%s%%'", name, value)
	case 2:
		return fmt.Sprintf("EXISTS %s AND %s IN ('%s', 'ba')", name, name, value)
	}
	return fmt.Sprintf("NOT (number > 1) OR %s != '%s'", name, value)
}
