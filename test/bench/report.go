package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// report is the whole outcome, as it is written with -json.
type report struct {
	Machine machine             `json:"machine"`
	Results []result            `json:"results"`
	Samples map[string][]sample `json:"samples"` // by variant, of each round
}

// result is a row with its figures.
type result struct {
	Group   string `json:"group"`
	What    string `json:"what"`
	Unit    string `json:"unit"`
	Of      string `json:"of"`
	Against string `json:"against,omitempty"`
	// Figure and Base are the medians of the rounds. Value is the median of
	// what the comparison gives in each round, which are Rounds.
	Figure  float64    `json:"figure"`
	Base    float64    `json:"base,omitempty"`
	Compare comparison `json:"compare"`
	Value   float64    `json:"value"`
	Rounds  []float64  `json:"rounds"`
	Least   float64    `json:"atLeast,omitempty"`
	Most    float64    `json:"atMost,omitempty"`
	Met     *bool      `json:"met,omitempty"`
}

// result compares the samples of a row's variants.
func (r row) result(group string, samples map[string][]sample) result {
	res := result{
		Group: group, What: r.what, Unit: r.unit, Of: r.of, Against: r.against,
		Compare: r.compare, Least: r.least, Most: r.most,
	}
	var figures, bases []float64
	for i, s := range samples[r.of] {
		base := r.limit
		if r.against != "" {
			base = r.figure(samples[r.against][i])
		}
		figures, bases = append(figures, r.figure(s)), append(bases, base)
		res.Rounds = append(res.Rounds, r.compare.of(figures[i], base, r.per))
	}
	res.Figure, res.Base, res.Value = median(figures), median(bases), median(res.Rounds)
	if r.least > 0 || r.most > 0 {
		met := (r.least == 0 || res.Value >= r.least) && (r.most == 0 || res.Value <= r.most)
		res.Met = &met
	}
	return res
}

// write writes the report as JSON.
func (r report) write(path string) error {
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(out, '\n'), 0o644)
}

// print writes the report as Markdown that can also be read as it is.
func (r report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", r.Machine)
	lines := [][]string{{"what", "Leat", "against", "unit", "result", "target", "met"}}
	for _, res := range r.Results {
		lines = append(lines, []string{res.What, short(res.Figure), res.base(), res.Unit, res.value(), res.target(), res.met()})
	}
	printTable(w, lines)
}

// printTable writes lines of cells as a Markdown table; the first is its head.
func printTable(w io.Writer, lines [][]string) {
	width := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, cells := range lines {
		for i, cell := range cells {
			fmt.Fprintf(w, "| %-*s ", width[i], cell)
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, wide := range width {
				fmt.Fprintf(w, "| %s ", strings.Repeat("-", wide))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// short writes a number with two or three digits that matter.
func short(x float64) string {
	switch {
	case x >= 100 || x <= -100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10 || x <= -10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

func (r result) base() string {
	if r.Compare == alone {
		return ""
	}
	return short(r.Base)
}

func (r result) value() string {
	switch r.Compare {
	case alone:
		return ""
	case difference:
		return fmt.Sprintf("%+.2f %s", r.Value, r.Unit)
	default:
		return fmt.Sprintf("%.2f", r.Value)
	}
}

func (r result) target() string {
	unit := ""
	if r.Compare == difference {
		unit = " " + r.Unit
	}
	switch {
	case r.Least > 0:
		return fmt.Sprintf("at least %g%s", r.Least, unit)
	case r.Most > 0:
		return fmt.Sprintf("at most %g%s", r.Most, unit)
	default:
		return ""
	}
}

func (r result) met() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return "yes"
	default:
		return "**no**"
	}
}
