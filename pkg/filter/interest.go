package filter

import "slices"

// Interest is what is certain about the events that match a filter: their type
// is one of Types and their source one of Sources. An empty list is every
// value. It has the shape of engine.Interest. The lists are sorted.
type Interest struct {
	Types   []string
	Sources []string
}

func (in Interest) and(other Interest) Interest {
	return Interest{
		Types:   intersect(in.Types, other.Types),
		Sources: intersect(in.Sources, other.Sources),
	}
}

// or keeps a list only where both sides have it: the other side takes events
// of any value.
func (in Interest) or(other Interest) Interest {
	return Interest{
		Types:   union(in.Types, other.Types),
		Sources: union(in.Sources, other.Sources),
	}
}

// intersect of lists without a common value, which no event can match, is the
// first of them: an empty list would want every event.
func intersect(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	var both []string
	for _, v := range a {
		if _, found := slices.BinarySearch(b, v); found {
			both = append(both, v)
		}
	}
	if len(both) == 0 {
		return a
	}
	return both
}

func union(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}
