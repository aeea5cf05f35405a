package build

import (
	"testing"
	"time"

	"github.com/rickb777/date/period"
)

func TestParseISO(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"PT0.2S", 200 * time.Millisecond, true},
		{"PT0,2S", 200 * time.Millisecond, true},
		{"PT.5S", 500 * time.Millisecond, true},
		{"PT0.05S", 50 * time.Millisecond, true},
		{"+PT1S", time.Second, true},
		{"P1DT2H3M4S", 26*time.Hour + 3*time.Minute + 4*time.Second, true},
		{"P2W", 14 * day, true},
		{"P0", 0, true},
		{"-PT0S", 0, true},
		{"P1DT", day, true},
		{"P99999999Y", 1<<63 - 1, true},
		{"", 0, false},
		{"-", 0, false},
		{"P", 0, false},
		{"PT", 0, false},
		{"5s", 0, false},
		{"PT5", 0, false},
		{"-PT5S", 0, false},
		{"PT-5S", 0, false},
		{"PT1S1H", 0, false},
		{"PT1S\n", 0, false},
	}
	for _, tt := range tests {
		got, err := parseISO(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseISO(%q) = %v, %v, want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

// What upstream's library reads exactly, this one reads alike.
func TestParseISOAgreesWithUpstream(t *testing.T) {
	for _, in := range []string{
		"PT0.1S", "PT0.2S", "PT1.5S", "PT30S", "PT90S", "PT1.5M", "PT2H", "PT1H30M", "P1D", "P1.5D", "P3W", "P1M", "P1Y", "P1Y2M3DT4H5M6S", "P0", "PT0S",
	} {
		p, err := period.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := p.Duration()
		got, err := parseISO(in)
		if err != nil || (got-want).Abs() > time.Second || (want < day && got != want) {
			t.Errorf("parseISO(%q) = %v, %v, upstream says %v", in, got, err, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"48h", 48 * time.Hour, true},
		{"P2D", 48 * time.Hour, true},
		{"0", 0, true},
		{"-1h", 0, false},
		{"2 days", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		got, err := parseDuration(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseDuration(%q) = %v, %v, want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"PT0.2S", "-", "P99999999999999Y", "P1Y2M3W4DT5H6M7.8S", "48h", "-1h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if d, err := parseDuration(in); d < 0 || (err != nil && d != 0) {
			t.Errorf("parseDuration(%q) = %v, %v", in, d, err)
		}
	})
}
