package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v: got %v, want %v", c.values, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(100 - i)
	}
	for _, c := range []struct {
		values []int64
		p      float64
		want   int64
	}{
		{nil, 99, 0},
		{[]int64{5}, 1, 5},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile %v of %d values: got %v, want %v", c.p, len(c.values), got, c.want)
		}
	}
}

// The median of the ratios counts, not the ratio of the medians: a round in
// which the machine was slow was slow for both.
func TestResultComparesWithinRounds(t *testing.T) {
	samples := map[string][]sample{
		"leat": {{Rate: 100}, {Rate: 10}, {Rate: 300}},
		"base": {{Rate: 200}, {Rate: 20}, {Rate: 300}},
	}
	r := row{what: "ingest", of: "leat", against: "base", figure: rate, compare: ratio, least: 0.6}.result("g", samples)
	if r.Figure != 100 || r.Base != 200 || r.Value != 0.5 || *r.Met {
		t.Errorf("got %+v, met %v", r, *r.Met)
	}
	r = row{of: "leat", against: "base", figure: rate, compare: difference, per: 10, most: 5}.result("g", samples)
	if r.Value != -1 || !*r.Met {
		t.Errorf("got %+v, met %v", r, *r.Met)
	}
	r = row{of: "leat", limit: 1000, figure: rate, compare: ratio}.result("g", samples)
	if r.Value != 0.1 || r.Met != nil {
		t.Errorf("got %+v", r)
	}
}

func TestPrint(t *testing.T) {
	yes, no := true, false
	var out strings.Builder
	report{Results: []result{
		{What: "ingest", Unit: "events/s", Figure: 50_000, Base: 60_000, Compare: ratio, Value: 0.833, Least: 0.8, Met: &yes},
		{What: "latency", Unit: "ms", Figure: 7, Base: 1, Compare: difference, Value: 6, Most: 5, Met: &no},
		{What: "10 Triggers", Unit: "deliveries/s", Figure: 12.3, Compare: alone},
	}}.print(&out)
	for _, line := range []string{
		"| ingest      | 50000 | 60000   | events/s     | 0.83     | at least 0.8 | yes    |",
		"| latency     | 7.00  | 1.00    | ms           | +6.00 ms | at most 5 ms | **no** |",
		"| 10 Triggers | 12.3  |         | deliveries/s |          |              |        |",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("missing %q in\n%s", line, out.String())
		}
	}
}

// Every row must speak of variants that there are, once.
func TestGroupsAreWhole(t *testing.T) {
	variants, rows := map[string]bool{}, map[string]bool{}
	for _, g := range append(targets(settings{}), matrix()...) {
		own := map[string]bool{"": true}
		for _, v := range g.variants {
			if variants[v.name] {
				t.Errorf("two variants %s", v.name)
			}
			if v.match > v.total {
				t.Errorf("%s: %d of %d Triggers match", v.name, v.match, v.total)
			}
			variants[v.name], own[v.name] = true, true
		}
		for _, r := range g.rows {
			if rows[g.name+r.what] {
				t.Errorf("two rows %s: %s", g.name, r.what)
			}
			rows[g.name+r.what] = true
			if r.of == "" || !own[r.of] || !own[r.against] {
				t.Errorf("%s: %s: no variant %q or %q", g.name, r.what, r.of, r.against)
			}
			if r.figure == nil || r.compare == "" || r.compare == ratio && r.against == "" && r.limit == 0 {
				t.Errorf("%s: %s: nothing is compared", g.name, r.what)
			}
		}
		if got := len(g.needed()); got != len(g.variants) {
			t.Errorf("%s: %d of %d variants are needed", g.name, got, len(g.variants))
		}
	}
}

func TestNeeded(t *testing.T) {
	g := latencies()
	g.rows = g.rows[:1]
	if got := len(g.needed()); got != 4 {
		t.Errorf("latency needs %d variants, want 4: the rate follows from the highest ones", got)
	}
	g = ingests()
	g.rows = g.rows[:1]
	var names []string
	for _, v := range g.needed() {
		names = append(names, v.name)
	}
	if strings.Join(names, " ") != "bare ingest" {
		t.Errorf("ingest needs %v", names)
	}
}

func TestOffset(t *testing.T) {
	if got := (plan{rate: 2000}).offset(3); got != 1500*time.Microsecond {
		t.Errorf("got %v, want 1.5 ms", got)
	}
	if got := (plan{}).offset(3); got != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestManifests(t *testing.T) {
	files := routes{total: triggersPerFile + 1, match: 2, delivery: "{retry: 1}"}.manifests("http://127.0.0.1:1")
	if len(files) != 3 {
		t.Fatalf("%d files, want the Broker and two of Triggers", len(files))
	}
	all := strings.Join(files, "")
	for pattern, want := range map[string]int{
		`kind: Trigger\n`:                      triggersPerFile + 1,
		`type: dev.leat.bench}`:                2,
		`type: dev.leat.other\.\d+}`:           triggersPerFile - 1,
		`uri: "http://127.0.0.1:1/t5000"}`:     1,
		`(?m)^  delivery: \{retry: 1\}$`:       triggersPerFile + 1,
		`(?m)^  annotations: `:                 0,
		`kind: Broker\nmetadata: {name: bench`: 1,
	} {
		if got := len(regexp.MustCompile(pattern).FindAllString(all, -1)); got != want {
			t.Errorf("%s: %d times, want %d", pattern, got, want)
		}
	}
}
