package filesource

import (
	"reflect"
	"slices"
	"time"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// tables makes tables of what is seen, one after the other.
type tables struct {
	source *Source
	memory *memory
	last   *routing.Table
	told   []routing.Problem
	// changed is when the folder last differed from the look before.
	changed time.Time
	// sure are the streams and routes of the last complete table.
	sure map[string]bool
}

// next is the table of a folder, nil if it is the same as the last one. again
// is after which time to look again even if nothing changes, zero for never.
func (t *tables) next(snap snapshot, now time.Time) (table *routing.Table, again time.Duration) {
	w, changed := t.memory.update(snap)
	if changed || t.last == nil {
		t.changed = now
	}
	table = t.source.build(w)
	ids := idsOf(table)
	sure := w.sure && len(ids) > 0
	table.Complete = sure && (contains(ids, t.sure) || now.Sub(t.changed) >= t.source.settle)
	if table.Complete {
		t.sure = ids
	} else if sure {
		again = max(t.changed.Add(t.source.settle).Sub(now), time.Millisecond)
	}
	if t.last != nil {
		table.Generation = t.last.Generation
		if reflect.DeepEqual(table, t.last) {
			return nil, again
		}
	}
	table.Generation++
	t.last = table
	return table, again
}

func (s *Source) build(w world) *routing.Table {
	r := reconcile(w, s.base)
	streams, problems := build.Streams(r.in, s.options)
	r.take(problems)
	all := slices.Concat(w.problems, r.problems)
	if len(streams) == 0 {
		all = append(all, routing.Problem{File: s.dir, Reason: "there is no Broker and no channel in it; what is stored of earlier ones is kept"})
	}
	for i := range all {
		all[i].Object, all[i].Reason = oneLine(all[i].Object), oneLine(all[i].Reason)
	}
	build.SortProblems(all)
	return &routing.Table{Streams: streams, Problems: all}
}

// idsOf is what has state in an engine: streams and their routes.
func idsOf(t *routing.Table) map[string]bool {
	ids := make(map[string]bool)
	for name, stream := range t.Streams {
		ids[name.String()] = true
		for _, r := range stream.Routes {
			ids[name.String()+" "+r.ID] = true
		}
	}
	return ids
}

// contains is whether all has everything of part, which is not the case as
// long as there is no part.
func contains(all, part map[string]bool) bool {
	for id := range part {
		if !all[id] {
			return false
		}
	}
	return part != nil
}
