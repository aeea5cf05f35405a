package filter

import (
	"reflect"
	"slices"
	"testing"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

func TestInterest(t *testing.T) {
	a, b, c := exact("type", "a"), exact("type", "b"), exact("type", "c")
	s := exact("source", "/s")

	for name, test := range map[string]struct {
		filters []routing.Expr
		want    Interest
	}{
		"none":                    {nil, Interest{}},
		"exact":                   {[]routing.Expr{exact("type", "a", "source", "/s")}, Interest{[]string{"a"}, []string{"/s"}}},
		"other attribute":         {[]routing.Expr{exact("subject", "a")}, Interest{}},
		"all":                     {[]routing.Expr{a, s, prefix("subject", "x")}, Interest{[]string{"a"}, []string{"/s"}}},
		"all, intersected":        {[]routing.Expr{anyOne(a, b), anyOne(b, c)}, Interest{Types: []string{"b"}}},
		"all, never":              {[]routing.Expr{a, b}, Interest{Types: []string{"a"}}},
		"any":                     {[]routing.Expr{anyOne(b, a, b)}, Interest{Types: []string{"a", "b"}}},
		"any, one without":        {[]routing.Expr{anyOne(a, s)}, Interest{}},
		"any, nothing set in one": {[]routing.Expr{anyOne(a, routing.Expr{})}, Interest{Types: []string{"a"}}},
		"not":                     {[]routing.Expr{notOf(a)}, Interest{}},
		"prefix and suffix":       {[]routing.Expr{prefix("type", "a"), suffix("source", "s")}, Interest{}},
		"cesql":                   {[]routing.Expr{sql("type = 'a'")}, Interest{}},
		"cesql beside exact":      {[]routing.Expr{a, sql("subject = 'a'")}, Interest{Types: []string{"a"}}},
		"a mistake wants nothing": {[]routing.Expr{sql("type =")}, Interest{Types: []string{""}}},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := Compile(routing.Filter{Filters: test.filters})
			if got := f.Interest(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestInterestOfAttributes(t *testing.T) {
	f, _ := Compile(routing.Filter{Attributes: attrs{"type": "a", "source": "", "subject": "x"}})
	if got, want := f.Interest(), (Interest{Types: []string{"a"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// outside reports whether an engine may skip the event.
func (in Interest) outside(e *cloudevent.Event) bool {
	return len(in.Types) > 0 && !slices.Contains(in.Types, e.Type()) ||
		len(in.Sources) > 0 && !slices.Contains(in.Sources, e.Source())
}

// What is outside the interest of any filter never matches it.
func FuzzInterest(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := newGenerator(seed)
		g.mistakes = true
		filter := g.filter()
		compiled, _ := Compile(filter)
		for range 20 {
			e := g.event()
			if compiled.Interest().outside(e) && compiled.Match(e) {
				t.Fatalf("%+v matches type %q, source %q, which is outside %+v",
					filter, e.Type(), e.Source(), compiled.Interest())
			}
		}
	})
}
