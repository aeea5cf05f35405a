// Package filter compiles a route's filter into a predicate, and says which
// events can never match it.
//
// The simple dialects are code of our own, because they run for every event of
// every route; CESQL is the CloudEvents SDK's. Values compare as canonical
// strings: integers and booleans as their text, a time as it was received.
//
// Where knative.dev/eventing/pkg/eventfilter decides otherwise, on purpose:
//
//	filter                         upstream                 here
//	expression with a mistake      skipped, all events pass false, with an error
//	  (also an empty name or value, and two dialects in one expression)
//	`not` of a mistake             true                     false
//	CESQL that is not boolean      panics                   false
//	`any` with `not: {}` in it     depends on the order     `not: {}` is skipped
//	attributes on an integer       never equal              equal as text
//	attributes `time: ""`          true without a time      false without a time
//	time                           reformatted              as received
//	schemaurl, datamediatype,      names of old drafts,     attributes only if
//	  datacontentencoding          computed                 the event has them
package filter

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/routing"
)

// The limits of a filter. What is over them is a mistake.
const (
	// MaxDepth is how deep expressions nest.
	MaxDepth = 32
	// MaxExprs is how many expressions a filter has in all.
	MaxExprs = 4096
	// MaxCESQL is the length of a CESQL expression in bytes.
	MaxCESQL = 4096
)

// Filter is a compiled filter. It is safe for concurrent use.
type Filter struct {
	root     node // nil passes every event
	interest Interest
	cesql    bool
}

// Compile compiles a filter: Filters if there are any, else Attributes
// (Trigger API). The error names every mistake, in the words of the object. The
// Filter is usable all the same: an expression with a mistake matches nothing,
// so that a typing error never opens a route to every event.
func Compile(f routing.Filter) (*Filter, error) {
	c := compiler{}
	var root node
	if len(f.Filters) > 0 {
		root = c.list("filters", f.Filters, 1, newAll)
	} else {
		root = c.attributes("filter.attributes", f.Attributes, opEqualOrAny)
	}
	compiled := &Filter{root: root, cesql: c.cesql}
	if root != nil {
		compiled.interest = root.interest()
	}
	return compiled, errors.Join(c.errs...)
}

// Match reports whether the event passes.
func (f *Filter) Match(e *cloudevent.Event) bool {
	if f.root == nil {
		return true
	}
	var sdk *sdkEvent
	if f.cesql {
		sdk = &sdkEvent{from: e}
	}
	return f.root.match(e, sdk)
}

// Interest returns what is certain about the events that match.
func (f *Filter) Interest() Interest { return f.interest }

type compiler struct {
	errs  []error
	exprs int
	cesql bool
}

func (c *compiler) mistake(where, format string, args ...any) node {
	c.errs = append(c.errs, fmt.Errorf("%s: "+format, append([]any{where}, args...)...))
	return never{}
}

// list compiles the members of all and any. Members with nothing set are no
// filter and are left out; nil means that nothing is left.
func (c *compiler) list(where string, exprs []routing.Expr, depth int, combine func([]node) node) node {
	nodes := make([]node, 0, len(exprs))
	for i, e := range exprs {
		if n := c.expr(fmt.Sprintf("%s[%d]", where, i), e, depth); n != nil {
			nodes = append(nodes, n)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return combine(nodes)
}

func (c *compiler) expr(where string, e routing.Expr, depth int) node {
	if c.exprs++; c.exprs > MaxExprs {
		if c.exprs > MaxExprs+1 {
			return never{}
		}
		return c.mistake(where, "a filter has at most %d expressions", MaxExprs)
	}
	if depth > MaxDepth {
		return c.mistake(where, "expressions nest at most %d deep", MaxDepth)
	}
	switch dialects(e) {
	case 0:
		return nil
	case 1:
	default:
		return c.mistake(where, "an expression has one dialect only, split it with all")
	}
	switch {
	case len(e.Exact) > 0:
		return c.attributes(where+".exact", e.Exact, opEqual)
	case len(e.Prefix) > 0:
		return c.attributes(where+".prefix", e.Prefix, opPrefix)
	case len(e.Suffix) > 0:
		return c.attributes(where+".suffix", e.Suffix, opSuffix)
	case len(e.All) > 0:
		return c.list(where+".all", e.All, depth+1, newAll)
	case len(e.Any) > 0:
		return c.list(where+".any", e.Any, depth+1, newAny)
	case e.Not != nil:
		return newNot(c.expr(where+".not", *e.Not, depth+1))
	}
	n, err := newCESQL(e.CESQL)
	if err != nil {
		return c.mistake(where+".cesql", "%w", err)
	}
	c.cesql = true
	return n
}

// dialects counts the dialects that are set and not empty.
func dialects(e routing.Expr) int {
	n := 0
	for _, set := range []bool{
		len(e.Exact) > 0, len(e.Prefix) > 0, len(e.Suffix) > 0,
		len(e.All) > 0, len(e.Any) > 0, e.Not != nil, e.CESQL != "",
	} {
		if set {
			n++
		}
	}
	return n
}

// attributeName is the pattern of the Trigger API's validation.
var attributeName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

func (c *compiler) attributes(where string, want map[string]string, op op) node {
	if len(want) == 0 {
		return nil
	}
	terms := make(terms, 0, len(want))
	ok := true
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch {
		case !attributeName.MatchString(name):
			c.mistake(where, "%q is no attribute name: it has lower-case letters and digits and begins with a letter", name)
			ok = false
		case want[name] == "" && op != opEqualOrAny:
			c.mistake(where, "the value of %q is empty, which no event can have", name)
			ok = false
		default:
			terms = append(terms, term{name: name, op: op, want: want[name]})
		}
	}
	if !ok {
		return never{}
	}
	return terms
}
