package filter

import (
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// heavy is an event with as many attributes as one can have.
func heavy() *cloudevent.Event {
	e := order()
	for _, name := range []string{"type", "w", "x", "y"} {
		e.Set(name, strings.Repeat("a", cloudevent.MaxValueSize-1))
	}
	return e
}

// Hostile expressions over hostile events neither stop a route nor take long
// to be refused. A second leaves room for a slow machine.
func TestHostileCESQL(t *testing.T) {
	fill := func(before, repeat, after string) string {
		n := (MaxCESQL - len(before) - len(after)) / len(repeat)
		return before + strings.Repeat(repeat, n) + after
	}
	for name, text := range map[string]string{
		"LIKE with many wildcards":   fill("type LIKE '", "%a", "%b'"),
		"LIKE with a long pattern":   fill("type LIKE '%", "a", "b'"),
		"LIKE of joined attributes":  "CONCAT(" + strings.Repeat("type,", 400) + "type) LIKE '%" + strings.Repeat("a", 2000) + "b'",
		"LIKE of many texts":         fill("", "type LIKE '%aab' OR ", "FALSE"),
		"LIKE in lower case":         "type like '" + strings.Repeat("%a_", 1000) + "b'",
		"nested CONCAT":              strings.Repeat("CONCAT(type,", 300) + "type" + strings.Repeat(")", 300) + "='a'",
		"deep parentheses":           strings.Repeat("(", 2000) + "TRUE" + strings.Repeat(")", 2000),
		"parentheses that never end": fill("", "((", "TRUE"),
		"many NOT":                   fill("", "NOT ", "TRUE"),
		"long chain":                 fill("", "TRUE AND ", "TRUE"),
		"long list":                  fill("type IN (", "'ab',", "'b')"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			f, _ := Compile(routing.Filter{Filters: []routing.Expr{sql(text)}})
			compiled := time.Since(start)
			start = time.Now()
			f.Match(heavy())
			if matched := time.Since(start); compiled > 5*time.Second || matched > time.Second {
				t.Errorf("compiled in %v, matched in %v", compiled, matched)
			} else {
				t.Logf("compiled in %v, matched in %v", compiled, matched)
			}
		})
	}
}

// What real filters and events look like stays far below the limit of work.
func TestLongHonestCESQL(t *testing.T) {
	e := order()
	e.Set("note", strings.Repeat("n", 4096))
	text := strings.Repeat("type LIKE 'shop.invoice.%' OR note LIKE '%refund%' OR ", 20) + "type LIKE '%created'"
	f, err := Compile(routing.Filter{Filters: []routing.Expr{sql(text)}})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Match(e) {
		t.Error("it does not match")
	}
}

func FuzzCESQL(f *testing.F) {
	for _, s := range []string{
		"TRUE", "type = 'a'", `type = "a\"b"`, "'it''s' = type", "EXISTS x", "-5 < ABS(priority)",
		"CONCAT_WS('-', type, source) LIKE '%a_b\\%'", "SUBSTRING('abc', 1, -5) = 'a'", "type IN ('a', 'b')", "(", "'", "\\",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 {
			return
		}
		filter, err := Compile(routing.Filter{Filters: []routing.Expr{sql(text)}})
		if filter.Match(order()) && err != nil {
			t.Errorf("%q matches in spite of %v", text, err)
		}
	})
}
