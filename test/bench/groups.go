package main

import "slices"

// A group is measured together: round by round, each of its variants once, in
// their order, so that a baseline alternates with what is held against it.
type group struct {
	name     string
	rounds   int // at most; 0 is the settings'
	variants []variant
	rows     []row
}

// row is one figure of the report.
type row struct {
	what string
	unit string
	// of is measured against the variant against; where that is empty, against
	// the constant limit; where that is 0, it stands alone.
	of, against string
	limit       float64
	figure      figure
	compare     comparison
	// per divides a difference: per so many Triggers, for example. 0 is 1.
	per float64
	// least and most are the target for what the comparison gives. A row without
	// either is for information.
	least, most float64
}

// figure is the number of a sample that a row is about.
type figure func(sample) float64

func rate(s sample) float64       { return s.Rate }
func deliveries(s sample) float64 { return s.Deliveries }
func cpu(s sample) float64        { return s.CPU }
func megabytes(s sample) float64  { return s.Bytes / 1e6 }
func p50(s sample) float64        { return s.P50 }
func p99(s sample) float64        { return s.P99 }
func resident(s sample) float64   { return s.Resident / 1024 }

// comparison makes one number of a figure and its base.
type comparison string

const (
	ratio      comparison = "ratio"
	difference comparison = "difference"
	alone      comparison = "alone"
)

// of is 0 if a ratio has no base.
func (c comparison) of(figure, base, per float64) float64 {
	switch {
	case c == alone:
		return figure
	case c == difference && per > 0:
		return (figure - base) / per
	case c == difference:
		return figure - base
	case base == 0:
		return 0
	default:
		return figure / base
	}
}

// needed are the variants that the rows speak of, and those whose rates they
// need, in the group's order.
func (g group) needed() []variant {
	var names []string
	for _, r := range g.rows {
		names = append(names, r.of, r.against)
	}
	for _, v := range g.variants {
		if slices.Contains(names, v.name) {
			names = append(names, v.sharesOf...)
		}
	}
	return slices.DeleteFunc(slices.Clone(g.variants), func(v variant) bool { return !slices.Contains(names, v.name) })
}
