package filter

import (
	"strings"
	"testing"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// order is the event of the tables.
func order() *cloudevent.Event {
	var e cloudevent.Event
	e.Set("id", "1")
	e.Set("source", "/shop/berlin")
	e.Set("type", "shop.order.created")
	e.Set("subject", "order-7")
	e.Set("time", "2026-01-02T03:04:05.000Z")
	e.Set("region", "eu")
	e.Set("blank", "")
	e.SetInt("priority", 7)
	return &e
}

type attrs = map[string]string

func exact(kv ...string) routing.Expr  { return routing.Expr{Exact: pairs(kv)} }
func prefix(kv ...string) routing.Expr { return routing.Expr{Prefix: pairs(kv)} }
func suffix(kv ...string) routing.Expr { return routing.Expr{Suffix: pairs(kv)} }
func sql(text string) routing.Expr     { return routing.Expr{CESQL: text} }
func notOf(e routing.Expr) routing.Expr {
	return routing.Expr{Not: &e}
}
func allOf(e ...routing.Expr) routing.Expr { return routing.Expr{All: e} }
func anyOne(e ...routing.Expr) routing.Expr {
	return routing.Expr{Any: e}
}

func pairs(kv []string) attrs {
	m := attrs{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

func TestMatch(t *testing.T) {
	nothing := routing.Expr{}
	byAttributes := func(kv ...string) routing.Filter { return routing.Filter{Attributes: pairs(kv)} }
	by := func(e ...routing.Expr) routing.Filter { return routing.Filter{Filters: e} }

	for name, test := range map[string]struct {
		filter routing.Filter
		want   bool
	}{
		"no filter":                             {routing.Filter{}, true},
		"attributes, equal":                     {byAttributes("type", "shop.order.created"), true},
		"attributes, other":                     {byAttributes("type", "shop.order"), false},
		"attributes, all must be equal":         {byAttributes("type", "shop.order.created", "region", "us"), false},
		"attributes, any value":                 {byAttributes("subject", "", "region", ""), true},
		"attributes, any value but absent":      {byAttributes("dataschema", ""), false},
		"attributes, any value but empty":       {byAttributes("blank", ""), false},
		"attributes, absent":                    {byAttributes("nosuch", "x"), false},
		"attributes, integer as text":           {byAttributes("priority", "7"), true},
		"attributes, specversion":               {byAttributes("specversion", "1.0"), true},
		"attributes, time as received":          {byAttributes("time", "2026-01-02T03:04:05.000Z"), true},
		"filters override attributes":           {routing.Filter{Attributes: attrs{"type": "other"}, Filters: []routing.Expr{exact("region", "eu")}}, true},
		"filters override attributes, to false": {routing.Filter{Attributes: attrs{"region": "eu"}, Filters: []routing.Expr{exact("type", "other")}}, false},
		"empty filters leave attributes":        {routing.Filter{Attributes: attrs{"type": "other"}, Filters: []routing.Expr{}}, false},

		"exact":                             {by(exact("type", "shop.order.created")), true},
		"exact, case matters":               {by(exact("type", "Shop.order.created")), false},
		"exact, several keys":               {by(exact("region", "eu", "subject", "order-7")), true},
		"exact, several keys, one differs":  {by(exact("region", "eu", "subject", "order-8")), false},
		"exact, absent":                     {by(exact("nosuch", "x")), false},
		"prefix":                            {by(prefix("type", "shop.")), true},
		"prefix, other":                     {by(prefix("type", "order.")), false},
		"prefix, absent":                    {by(prefix("nosuch", "x")), false},
		"prefix, several keys":              {by(prefix("type", "shop.", "source", "/x")), false},
		"suffix":                            {by(suffix("type", ".created")), true},
		"suffix, other":                     {by(suffix("type", ".deleted")), false},
		"suffix, integer as text":           {by(suffix("priority", "7")), true},
		"several filters must all be true":  {by(exact("region", "eu"), prefix("type", "order.")), false},
		"all":                               {by(allOf(exact("region", "eu"), prefix("type", "shop."))), true},
		"all, one false":                    {by(allOf(exact("region", "eu"), prefix("type", "x."))), false},
		"any":                               {by(anyOne(exact("region", "us"), prefix("type", "shop."))), true},
		"any, none":                         {by(anyOne(exact("region", "us"), prefix("type", "x."))), false},
		"not":                               {by(notOf(exact("region", "us"))), true},
		"not, false":                        {by(notOf(exact("region", "eu"))), false},
		"not of an absent attribute":        {by(notOf(exact("nosuch", "x"))), true},
		"nested":                            {by(allOf(anyOne(exact("region", "us"), notOf(prefix("type", "x"))), suffix("source", "berlin"))), true},
		"nothing set":                       {by(nothing), true},
		"nothing set in all":                {by(allOf(nothing, nothing)), true},
		"nothing set in any":                {by(anyOne(nothing)), true},
		"nothing set beside another in any": {by(anyOne(nothing, exact("region", "us"))), false},
		"not of nothing":                    {by(notOf(nothing)), true},

		"cesql":                        {by(sql("type LIKE 'shop.%' AND priority > 5")), true},
		"cesql, false":                 {by(sql("priority = 8")), false},
		"cesql, integer result":        {by(sql("priority")), false},
		"cesql, text result":           {by(sql("'true'")), false},
		"cesql, not of a text result":  {by(notOf(sql("'true'"))), true},
		"cesql, missing attribute":     {by(sql("nosuch = 'x'")), false},
		"cesql, EXISTS":                {by(sql("EXISTS subject AND NOT EXISTS nosuch")), true},
		"cesql, division by zero":      {by(sql("1 / 0 = 1")), false},
		"cesql, unknown function":      {by(sql("NOSUCH(type) = 'x'")), false},
		"cesql, panics in the library": {by(sql("SUBSTRING(type, 1, -5) = 'x'")), false},
		"cesql, two in one filter":     {by(sql("EXISTS subject"), sql("priority = 7")), true},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Compile(test.filter)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match(order()); got != test.want {
				t.Errorf("Match = %t", got)
			}
		})
	}
}

// A mistake is reported in the words of the object and is false where it is,
// also under not, and also beside an alternative that is right.
func TestMistakes(t *testing.T) {
	deep := exact("region", "eu")
	for range MaxDepth {
		deep = allOf(deep)
	}
	bad := sql("type =")

	for name, test := range map[string]struct {
		expr  routing.Expr
		want  bool
		error string
	}{
		"cesql":                {bad, false, `filters[0].cesql: the expression "type =" is no CESQL`},
		"cesql, nested":        {allOf(exact("region", "eu"), anyOne(bad)), false, `filters[0].all[1].any[0].cesql: `},
		"under not":            {notOf(bad), false, `filters[0].not.cesql: `},
		"beside what is right": {anyOne(bad, exact("region", "eu")), true, `filters[0].any[0].cesql: `},
		"unclosed quote":       {sql("type = 'a"), false, "the quote at byte 7 is not closed"},
		"strange character":    {sql("type = 'a' ; 1"), false, "unexpected character at byte 11"},
		"number too big":       {sql("99999999999 = 1"), false, "is no CESQL"},
		"cesql too long":       {sql("type = '" + strings.Repeat("a", MaxCESQL) + "'"), false, "is longer than 4096 bytes"},
		"too deep":             {deep, false, "expressions nest at most 32 deep"},
		"too many":             {allOf(make([]routing.Expr, MaxExprs)...), false, "at most 4096 expressions"},
		"two dialects":         {routing.Expr{Exact: attrs{"region": "eu"}, CESQL: "TRUE"}, false, "filters[0]: an expression has one dialect only"},
		"empty value":          {exact("region", ""), false, `the value of "region" is empty`},
		"empty prefix":         {prefix("region", ""), false, `filters[0].prefix: the value of "region" is empty`},
		"no attribute name":    {exact("Region", "eu"), false, `"Region" is no attribute name`},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Compile(routing.Filter{Filters: []routing.Expr{test.expr}})
			if err == nil || !strings.Contains(err.Error(), test.error) {
				t.Errorf("error %v, want it to contain %q", err, test.error)
			}
			if got := f.Match(order()); got != test.want {
				t.Errorf("Match = %t", got)
			}
		})
	}
}

func TestMistakeInAttributes(t *testing.T) {
	f, err := Compile(routing.Filter{Attributes: attrs{"Type": ""}})
	if err == nil || !strings.HasPrefix(err.Error(), "filter.attributes: ") {
		t.Errorf("error %v", err)
	}
	if f.Match(order()) {
		t.Error("it matches")
	}
}
