package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScore(t *testing.T) {
	for _, c := range []struct {
		r    result
		want float64
	}{
		{result{Value: 0.4, Least: 0.8}, 0.5},
		{result{Value: 2.6, Most: 1.3}, 0.5},
		{result{Value: 2.5, Most: 5}, 2},
		{result{Value: -1, Most: 5}, 100},
		{result{Value: 0, Most: 5}, 100},
	} {
		if got := c.r.score(); got != c.want {
			t.Errorf("%+v: got %v, want %v", c.r, got, c.want)
		}
	}
}

func TestPlot(t *testing.T) {
	met := true
	r := report{
		Results: []result{{What: "a < b & c", Compare: ratio, Value: 2, Least: 1, Met: &met}, {What: "for information"}},
		Samples: map[string][]sample{"ingest-1024-1": {{Rate: 10}}, "ingest-1024-512": {{Rate: 20}}},
	}
	path := filepath.Join(t.TempDir(), "p.svg")
	if err := r.plot(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for d := xml.NewDecoder(strings.NewReader(string(data))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, is := token.(xml.CharData); is {
			texts = append(texts, string(text))
		}
	}
	all := strings.Join(texts, "|")
	for text, want := range map[string]bool{"a < b & c": true, "ingest": true, "proxy": false, "for information": false, "by Triggers": false} {
		if strings.Contains(all, text) != want {
			t.Errorf("%q in the picture: %v, want %v\n%s", text, !want, want, all)
		}
	}
}
