package main

import (
	"fmt"
	"slices"
	"time"
)

// Each case of the matrix is for information: how cost grows. It is measured
// less often and shorter than the targets.
const (
	matrixRounds = 2
	matrixMost   = 2 * time.Second
	matrixEvents = 80_000
)

// matrix are the loads of docs/performance.md.
func matrix() []group {
	return []group{sizesAndSenders(), triggerCounts(), dialects(), orders(), works(), failures()}
}

// sizesAndSenders measures ingest and delivery by the size of events and the
// number of senders, each beside its baseline.
func sizesAndSenders() group {
	g := group{name: "sizes and senders", rounds: matrixRounds}
	for _, size := range []int{100, 1 << 10, 64 << 10} {
		for _, senders := range []int{1, 64, 512} {
			load := fmt.Sprintf("%s, %d senders", sizeName(size), senders)
			name := func(v string) string { return fmt.Sprintf("%s-%d-%d", v, size, senders) }
			add := func(v string, k kind, r routes) {
				g.variants = append(g.variants, variant{
					name: name(v), kind: k, routes: r, size: size, senders: senders,
					events: min(matrixEvents, 1<<30/size), most: matrixMost,
				})
			}
			add("bare", kindBare, routes{})
			add("ingest", kindLeat, routes{})
			add("proxy", kindProxy, routes{})
			add("1-trigger", kindLeat, matching(1, 1))
			g.rows = append(g.rows,
				row{what: "ingest, " + load, unit: "events/s", of: name("ingest"), against: name("bare"), figure: rate, compare: ratio},
				row{what: "end to end, " + load, unit: "events/s", of: name("1-trigger"), against: name("proxy"), figure: rate, compare: ratio})
		}
	}
	return g
}

func sizeName(bytes int) string {
	if bytes < 1<<10 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// triggerCounts measures how many Triggers cost how much, by how many of them
// match.
func triggerCounts() group {
	g := group{name: "Triggers", rounds: matrixRounds}
	for _, total := range []int{1, 10, 1000} {
		for _, match := range slices.Compact([]int{total, 1, 0}) {
			name := fmt.Sprintf("triggers-%d-%d", total, match)
			v := variant{name: name, kind: kindLeat, routes: matching(total, match), events: matrixEvents, most: matrixMost}
			if match > 1 {
				v.events /= match / 2
			}
			if match > 100 {
				// 100 deliveries at once of each would be more connections than a
				// process may have.
				v.annotations = `{leat.dev/max-in-flight: "5"}`
			}
			g.variants = append(g.variants, v)
			what := fmt.Sprintf("%d of %d Triggers match", match, total)
			figure, unit := figure(deliveries), "deliveries/s"
			if match == 0 {
				figure, unit = rate, "events/s"
			}
			g.rows = append(g.rows,
				row{what: what, unit: unit, of: name, figure: figure, compare: alone},
				row{what: what + ": CPU", unit: "µs/event", of: name, figure: cpu, compare: alone})
		}
	}
	return g
}

// dialects measures one Trigger that matches, by its filter, against one that
// takes everything.
func dialects() group {
	const all = "dialect-none"
	g := group{name: "filters", rounds: matrixRounds}
	add := func(name, filter string) {
		g.variants = append(g.variants, variant{
			name: name, kind: kindLeat, events: matrixEvents, most: matrixMost,
			routes: routes{total: 1, match: 1, filter: filter},
		})
	}
	add(all, "filter: {}")
	for _, d := range []struct{ name, filter string }{
		{"attributes", "filter: {attributes: {type: " + eventType + ", source: " + eventSource + "}}"},
		{"exact", "filters: [{exact: {type: " + eventType + "}}]"},
		{"prefix", "filters: [{prefix: {type: dev.leat.}}]"},
		{"suffix", "filters: [{suffix: {source: /sender}}]"},
		{"all", "filters: [{all: [{exact: {type: " + eventType + "}}, {prefix: {source: /bench/}}]}]"},
		{"any", "filters: [{any: [{exact: {type: dev.leat.other}}, {suffix: {type: bench}}]}]"},
		{"not", "filters: [{not: {exact: {type: dev.leat.other}}}]"},
		{"cesql", `filters: [{cesql: "type LIKE 'dev.leat.%' AND source = '/bench/sender'"}]`},
	} {
		add("dialect-"+d.name, d.filter)
		g.rows = append(g.rows, row{
			what: d.name + ", against no filter: CPU", unit: "µs/event", of: "dialect-" + d.name, against: all, figure: cpu, compare: ratio,
		})
	}
	return g
}

func orders() group {
	variants := []variant{
		{name: "unordered", routes: matching(1, 1)},
		{name: "ordered", routes: routes{total: 1, match: 1, annotations: "{leat.dev/delivery-order: ordered}"}},
	}
	for i := range variants {
		v := &variants[i]
		v.kind, v.keys, v.events, v.most = kindLeat, true, matrixEvents, matrixMost
	}
	return group{
		name: "order", rounds: matrixRounds, variants: variants,
		rows: []row{
			{what: "ordered by 64 keys, against unordered", unit: "deliveries/s", of: "ordered", against: "unordered", figure: deliveries, compare: ratio},
			{what: "ordered by 64 keys, against unordered: CPU", unit: "µs/event", of: "ordered", against: "unordered", figure: cpu, compare: ratio},
		},
	}
}

// works measures a subscriber that takes its time, against what 100 deliveries
// at once allow.
func works() group {
	g := group{name: "work", rounds: matrixRounds}
	for _, w := range []time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond} {
		v := variant{
			name: "work-" + w.String(), kind: kindLeat, routes: matching(1, 1), work: w,
			events: matrixEvents, most: matrixMost,
		}
		r := row{what: w.String() + " of work", unit: "deliveries/s", of: v.name, figure: deliveries, compare: alone}
		if w > 0 {
			r.what += ", 100 in flight, of what is possible"
			r.compare, r.limit = ratio, 100/w.Seconds()
			g.variants = append(g.variants, limited(v, int(2*r.limit)))
		} else {
			g.variants = append(g.variants, v)
		}
		g.rows = append(g.rows, r)
	}
	return g
}

func limited(v variant, events int) variant {
	v.events = min(v.events, events)
	return v
}

func failures() group {
	base := variant{
		name: "no-failures", kind: kindLeat, events: matrixEvents, most: matrixMost,
		routes: routes{total: 1, match: 1, delivery: "{retry: 5, backoffPolicy: exponential, backoffDelay: PT0.1S}"},
	}
	failing := base
	failing.name, failing.failOnce = "half-fail-once", true
	return group{
		name: "failures", rounds: matrixRounds, variants: []variant{base, failing},
		rows: []row{
			{what: "half fail once, against none", unit: "events/s", of: failing.name, against: base.name, figure: rate, compare: ratio},
			{what: "half fail once, against none: CPU", unit: "µs/event", of: failing.name, against: base.name, figure: cpu, compare: ratio},
		},
	}
}
