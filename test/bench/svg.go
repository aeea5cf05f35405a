package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"strings"
)

// svg is a picture that is being written. Units are pixels.
type svg struct{ strings.Builder }

const (
	svgWidth   = 900
	barHeight  = 22
	barLeft    = 390
	chartWidth = 300
	chartTall  = 170
)

// Colours that are told apart also without seeing red and green.
const (
	blue   = "#0072b2"
	orange = "#d55e00"
	grey   = "#999999"
	black  = "#222222"
)

func (s *svg) text(x, y float64, anchor, text string) {
	fmt.Fprintf(s, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x, y, anchor, black, html.EscapeString(text))
}

func (s *svg) rect(x, y, width, height float64, colour string) {
	fmt.Fprintf(s, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, width, height, colour)
}

func (s *svg) line(colour string, points ...[2]float64) {
	fmt.Fprintf(s, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour)
	for _, p := range points {
		fmt.Fprintf(s, "%.1f,%.1f ", p[0], p[1])
	}
	s.WriteString("\"/>\n")
}

// plot writes the picture of docs/performance.md: the targets, and how cost
// grows with senders and Triggers. What was not measured is left out.
func (r report) plot(path string) error {
	var s svg
	y := r.plotTargets(&s, 30) + 50
	x := 60.0
	for _, c := range r.charts() {
		if c.draw(&s, x, y) {
			x += chartWidth + 130
		}
	}
	if x > 60 {
		y += chartTall + 60
	}
	return os.WriteFile(path, fmt.Appendf(nil,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"+
			"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n%s</svg>\n", svgWidth, y, s.String()), 0o644)
}

// score is how far a figure is from its target: 1 is just met, more is better.
func (r result) score() float64 {
	const best = 100
	switch {
	case r.Least > 0:
		return min(r.Value/r.Least, best)
	case r.Value*best <= r.Most: // also below zero
		return best
	default:
		return r.Most / r.Value
	}
}

// plotTargets draws a bar for each target, from 1/4 to 4 of it, and returns
// where it ends.
func (r report) plotTargets(s *svg, y float64) float64 {
	const octave = 100.0
	middle := barLeft + 2*octave
	s.text(middle-octave, y, "middle", "half as good")
	s.text(middle, y, "middle", "target")
	s.text(middle+octave, y, "middle", "twice as good")
	top := y + 8
	y = top
	for _, res := range r.Results {
		if res.Met == nil {
			continue
		}
		colour := blue
		if !*res.Met {
			colour = orange
		}
		width := octave * min(2, max(-2, math.Log2(max(res.score(), 1e-9))))
		s.text(barLeft-8, y+15, "end", res.What)
		s.rect(middle+min(width, 0), y+3, max(math.Abs(width), 1), barHeight-6, colour)
		s.text(barLeft+4*octave+8, y+15, "start", res.value())
		y += barHeight
	}
	for step := -1.0; step <= 1; step++ {
		s.line(grey, [2]float64{middle + step*octave, top}, [2]float64{middle + step*octave, y})
	}
	return y
}

// chart is lines over a few named places.
type chart struct {
	title  string
	places []string
	lines  []chartLine
}

type chartLine struct {
	name, colour string
	values       []float64 // one for each place; 0 is not measured
}

// charts are what grows with senders and with Triggers.
func (r report) charts() []chart {
	line := func(name, colour, pattern string, f figure, of ...any) chartLine {
		l := chartLine{name: name, colour: colour}
		for _, x := range of {
			var values []float64
			for _, s := range r.Samples[fmt.Sprintf(pattern, x)] {
				values = append(values, f(s))
			}
			l.values = append(l.values, median(values))
		}
		return l
	}
	senders, triggers := []any{1, 64, 512}, []any{1, 10, 1000}
	return []chart{
		{
			title: "events/s of 1 KiB, by senders", places: []string{"1", "64", "512"},
			lines: []chartLine{
				line("net/http", grey, "bare-1024-%d", rate, senders...),
				line("ingest", blue, "ingest-1024-%d", rate, senders...),
				line("proxy", black, "proxy-1024-%d", rate, senders...),
				line("end to end", orange, "1-trigger-1024-%d", rate, senders...),
			},
		},
		{
			title: "CPU µs per event, by Triggers", places: []string{"1", "10", "1,000"},
			lines: []chartLine{
				line("1 matches", orange, "triggers-%d-1", cpu, triggers...),
				line("none", blue, "triggers-%d-0", cpu, triggers...),
			},
		},
	}
}

// draw draws the chart at a place and says whether there was anything to draw.
func (c chart) draw(s *svg, x, y float64) bool {
	top := 0.0
	for _, l := range c.lines {
		for _, v := range l.values {
			top = max(top, v)
		}
	}
	if top == 0 {
		return false
	}
	s.text(x, y-12, "start", c.title)
	s.line(grey, [2]float64{x, y}, [2]float64{x, y + chartTall}, [2]float64{x + chartWidth, y + chartTall})
	s.text(x-6, y+6, "end", short(top))
	s.text(x-6, y+chartTall, "end", "0")
	step := float64(chartWidth-20) / float64(len(c.places)-1)
	for i, place := range c.places {
		s.text(x+10+float64(i)*step, y+chartTall+16, "middle", place)
	}
	for _, l := range c.lines {
		var points [][2]float64
		for i, v := range l.values {
			if v > 0 {
				points = append(points, [2]float64{x + 10 + float64(i)*step, y + chartTall*(1-v/top)})
			}
		}
		if len(points) == 0 {
			continue
		}
		s.line(l.colour, points...)
		end := points[len(points)-1]
		s.text(end[0]+8, end[1]+4, "start", l.name)
	}
	return true
}
