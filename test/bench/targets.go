package main

import (
	"fmt"
	"time"
)

// targets are the figures that Leat promises (docs/performance.md).
func targets(s settings) []group {
	backlog, idle, heavy := 1_000_000, 10_000, 3
	if s.quick {
		backlog, idle, heavy = 100_000, 2_000, 1
	}
	return []group{
		ingests(), endToEnd(), large(), latencies(), slow(),
		{
			name: "backlog", rounds: heavy,
			variants: []variant{
				{name: "live", kind: kindLeat, routes: matching(1, 1)},
				{name: "drain", kind: kindLeat, routes: matching(1, 1), backlog: true, events: backlog, batch: 100, most: 5 * time.Minute},
			},
			rows: []row{
				{what: fmt.Sprintf("drain a backlog of %d events, against live traffic", backlog), unit: "deliveries/s", of: "drain", against: "live", figure: deliveries, compare: ratio, least: 1},
			},
		},
		{
			name: "memory", rounds: heavy,
			variants: []variant{
				{name: "idle", kind: kindMemory},
				{name: "idle-triggers", kind: kindMemory, routes: matching(idle, 0)},
			},
			rows: []row{
				{what: fmt.Sprintf("memory per Trigger, %d idle", idle), unit: "KiB", of: "idle-triggers", against: "idle", figure: resident, compare: difference, per: float64(idle), most: 20},
			},
		},
	}
}

// matching are so many Triggers, of which match get every event.
func matching(total, match int) routes { return routes{total: total, match: match} }

func ingests() group {
	return group{
		name: "ingest",
		variants: []variant{
			{name: "bare", kind: kindBare},
			{name: "ingest", kind: kindLeat},
			{name: "ingest-1000-none", kind: kindLeat, routes: matching(1000, 0)},
			{name: "ingest-batch-100", kind: kindLeat, batch: 100, events: 500_000},
			{name: "pebble", kind: kindPebble, events: 500_000},
		},
		rows: []row{
			{what: "ingest, against bare net/http", unit: "events/s", of: "ingest", against: "bare", figure: rate, compare: ratio, least: 0.8},
			{what: "ingest, against bare net/http: CPU", unit: "µs/event", of: "ingest", against: "bare", figure: cpu, compare: ratio},
			{what: "ingest, against appends to Pebble", unit: "events/s", of: "ingest", against: "pebble", figure: rate, compare: ratio},
			{what: "1,000 Triggers, none matches, against none: CPU", unit: "µs/event", of: "ingest-1000-none", against: "ingest", figure: cpu, compare: ratio, most: 1.15},
			{what: "batches of 100, against single events", unit: "events/s", of: "ingest-batch-100", against: "ingest", figure: rate, compare: ratio, least: 4},
		},
	}
}

func endToEnd() group {
	return group{
		name: "end to end",
		variants: []variant{
			{name: "proxy", kind: kindProxy},
			{name: "1-trigger", kind: kindLeat, routes: matching(1, 1)},
			{name: "10-triggers", kind: kindLeat, routes: matching(10, 10), events: 20_000},
			{name: "1000-triggers-1", kind: kindLeat, routes: matching(1000, 1)},
		},
		rows: []row{
			{what: "end to end, against ReverseProxy", unit: "events/s", of: "1-trigger", against: "proxy", figure: rate, compare: ratio, least: 1},
			{what: "end to end, against ReverseProxy: CPU", unit: "µs/event", of: "1-trigger", against: "proxy", figure: cpu, compare: ratio, most: 1.3},
			{what: "fan-out to 10 Triggers, against 1", unit: "deliveries/s", of: "10-triggers", against: "1-trigger", figure: deliveries, compare: ratio, least: 1},
			{what: "1,000 Triggers, 1 matches, against 1", unit: "events/s", of: "1000-triggers-1", against: "1-trigger", figure: rate, compare: ratio, least: 0.9},
		},
	}
}

func large() group {
	return group{
		name: "64 KiB",
		variants: []variant{
			{name: "proxy-64k", kind: kindProxy, size: 64 << 10, events: 80_000},
			{name: "1-trigger-64k", kind: kindLeat, routes: matching(1, 1), size: 64 << 10, events: 80_000},
			{name: "pebble-64k", kind: kindPebble, size: 64 << 10, events: 80_000},
		},
		rows: []row{
			{what: "64 KiB events, against ReverseProxy", unit: "MB/s", of: "1-trigger-64k", against: "proxy-64k", figure: megabytes, compare: ratio, least: 0.8},
			{what: "64 KiB events, against appends to Pebble", unit: "MB/s", of: "1-trigger-64k", against: "pebble-64k", figure: megabytes, compare: ratio},
		},
	}
}

// latencies are measured at a fixed rate, which follows from the highest rates.
func latencies() group {
	highest := []string{"proxy-most", "1-trigger-most"}
	return group{
		name: "latency",
		variants: []variant{
			{name: highest[0], kind: kindProxy},
			{name: highest[1], kind: kindLeat, routes: matching(1, 1)},
			{name: "proxy-20%", kind: kindProxy, share: 0.2, sharesOf: highest},
			{name: "1-trigger-20%", kind: kindLeat, routes: matching(1, 1), share: 0.2, sharesOf: highest},
		},
		rows: []row{
			{what: "latency at 20 % of the load, p99", unit: "ms", of: "1-trigger-20%", against: "proxy-20%", figure: p99, compare: difference, most: 5},
			{what: "latency at 20 % of the load, p50", unit: "ms", of: "1-trigger-20%", against: "proxy-20%", figure: p50, compare: difference},
		},
	}
}

func slow() group {
	const inFlight, work = 1000, 100 * time.Millisecond
	r := matching(1, 1)
	r.annotations = fmt.Sprintf("{leat.dev/max-in-flight: %q}", fmt.Sprint(inFlight))
	return group{
		name:     "slow subscriber",
		variants: []variant{{name: "slow-100ms", kind: kindLeat, events: 50_000, work: work, routes: r}},
		rows: []row{
			{what: "100 ms of work, 1,000 in flight, of what is possible", unit: "deliveries/s", of: "slow-100ms", limit: inFlight / work.Seconds(), figure: deliveries, compare: ratio, least: 0.8},
		},
	}
}
