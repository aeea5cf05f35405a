package kubesource

import (
	"maps"
	"reflect"
	"slices"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// tables makes one table after the other.
type tables struct {
	source *Source
	last   *routing.Table
}

// next is the table of the objects, nil if it is the same as the last one.
func (t *tables) next(in build.Input, live Live) *routing.Table {
	streams, problems := build.Streams(in, build.Options{
		ClusterDomain: t.source.options.ClusterDomain, CrossNamespace: live.CrossNamespace,
	})
	t.source.base.localize(streams)
	problems = slices.Concat(live.Problems, problems)
	build.SortProblems(problems)
	table := &routing.Table{
		Generation: 1, Streams: streams, Removed: build.Removed(in), Problems: problems, Complete: true,
	}
	if t.last != nil {
		table.Generation = t.last.Generation + 1
		if share(t.last.Streams, streams) && slices.Equal(t.last.Problems, problems) &&
			maps.Equal(t.last.Removed, table.Removed) {
			return nil
		}
	}
	t.last = table
	return table
}

// share puts the streams and routes of the last table in the place of equal
// ones: whoever goes through a table sees by the pointer what is the same. It
// reports whether all are.
func share(last, now map[routing.StreamName]*routing.Stream) bool {
	same := len(last) == len(now)
	for name, stream := range now {
		old := last[name]
		if old == nil {
			same = false
			continue
		}
		if shareRoutes(old.Routes, stream.Routes) && equalButRoutes(*old, *stream) {
			now[name] = old
		} else {
			same = false
		}
	}
	return same
}

// shareRoutes does the same for the routes of a stream, which are in the order
// of their IDs.
func shareRoutes(last, now []*routing.Route) bool {
	same := len(last) == len(now)
	for i, route := range now {
		for len(last) > 0 && last[0].ID < route.ID {
			last = last[1:]
		}
		if len(last) > 0 && reflect.DeepEqual(last[0], route) {
			now[i] = last[0]
		} else {
			same = false
		}
	}
	return same
}

func equalButRoutes(a, b routing.Stream) bool {
	a.Routes, b.Routes = nil, nil
	return reflect.DeepEqual(a, b)
}
