package filter

import (
	"slices"
	"strings"

	"leat.dev/leat/pkg/cloudevent"
)

// node is a compiled expression. sdk is nil in filters without CESQL.
type node interface {
	match(e *cloudevent.Event, sdk *sdkEvent) bool
	interest() Interest
}

type op uint8

const (
	opEqual op = iota
	opPrefix
	opSuffix
	// opEqualOrAny is the attributes filter: "" is any value but the empty one.
	opEqualOrAny
)

type term struct {
	name string
	op   op
	want string
}

// terms must all hold. An attribute that the event does not have is false.
type terms []term

func (ts terms) match(e *cloudevent.Event, _ *sdkEvent) bool {
	for i := range ts {
		if !ts[i].match(e) {
			return false
		}
	}
	return true
}

func (t *term) match(e *cloudevent.Event) bool {
	value, ok := e.Get(t.name)
	if !ok {
		return false
	}
	switch t.op {
	case opPrefix:
		return strings.HasPrefix(value, t.want)
	case opSuffix:
		return strings.HasSuffix(value, t.want)
	case opEqualOrAny:
		if t.want == "" {
			return value != ""
		}
	}
	return value == t.want
}

func (ts terms) interest() Interest {
	var in Interest
	for _, t := range ts {
		if t.want == "" || (t.op != opEqual && t.op != opEqualOrAny) {
			continue
		}
		switch t.name {
		case "type":
			in.Types = []string{t.want}
		case "source":
			in.Sources = []string{t.want}
		}
	}
	return in
}

type all []node

// newAll is false where one of its members is a mistake.
func newAll(nodes []node) node {
	if slices.ContainsFunc(nodes, isNever) {
		return never{}
	}
	if len(nodes) == 1 {
		return nodes[0]
	}
	return all(nodes)
}

func (a all) match(e *cloudevent.Event, sdk *sdkEvent) bool {
	for _, n := range a {
		if !n.match(e, sdk) {
			return false
		}
	}
	return true
}

func (a all) interest() Interest {
	in := a[0].interest()
	for _, n := range a[1:] {
		in = in.and(n.interest())
	}
	return in
}

type anyOf []node

// newAny leaves out the members with a mistake.
func newAny(nodes []node) node {
	nodes = slices.DeleteFunc(nodes, isNever)
	switch len(nodes) {
	case 0:
		return never{}
	case 1:
		return nodes[0]
	}
	return anyOf(nodes)
}

func (a anyOf) match(e *cloudevent.Event, sdk *sdkEvent) bool {
	for _, n := range a {
		if n.match(e, sdk) {
			return true
		}
	}
	return false
}

func (a anyOf) interest() Interest {
	in := a[0].interest()
	for _, n := range a[1:] {
		in = in.or(n.interest())
	}
	return in
}

type not struct{ node }

// newNot of no filter is no filter, and of a mistake it is the mistake.
func newNot(n node) node {
	if n == nil || isNever(n) {
		return n
	}
	return not{n}
}

func (n not) match(e *cloudevent.Event, sdk *sdkEvent) bool { return !n.node.match(e, sdk) }
func (n not) interest() Interest                            { return Interest{} }

// never stands where a mistake is.
type never struct{}

func (never) match(*cloudevent.Event, *sdkEvent) bool { return false }

// The type of an event is never empty.
func (never) interest() Interest { return Interest{Types: []string{""}} }

func isNever(n node) bool { _, ok := n.(never); return ok }
