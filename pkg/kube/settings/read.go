package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"leat.dev/leat/pkg/routing"
)

// Reader makes Settings of the data of ConfigMaps. It remembers what was good.
type Reader struct {
	names Names
	keys  []key
	// good is the last value of each key that was allowed.
	good map[string]string
}

// NewReader returns a Reader of ConfigMaps with those names.
func NewReader(n Names) *Reader {
	return &Reader{names: n, keys: keysOf(n), good: map[string]string{}}
}

// Read reads the data of the ConfigMaps that there are, by name. A problem
// names the ConfigMap as its file and the key as its object.
func (r *Reader) Read(data map[string]map[string]string) (Settings, []routing.Problem) {
	s := Default()
	var problems []routing.Problem
	for _, k := range r.keys {
		id := k.configMap + "/" + k.name
		value, there := data[k.configMap][k.name]
		if !there {
			delete(r.good, id)
			continue
		}
		try := s
		err := k.set(&try, strings.TrimSpace(value))
		if err == nil {
			s, r.good[id] = try, value
			continue
		}
		used := "the default is used"
		if last, ok := r.good[id]; ok {
			used = fmt.Sprintf("%s, as it was before, is used", quote(last))
			if err := k.set(&s, strings.TrimSpace(last)); err != nil {
				panic("BUG: a good value of " + id + " is no longer good: " + err.Error())
			}
		}
		problems = append(problems, routing.Problem{
			File: k.configMap, Object: k.name, Reason: fmt.Sprintf("it is %s, but %v; %s", quote(value), err, used),
		})
	}
	return s, append(problems, r.unknown(data[r.names.Leat])...)
}

// unknown are the keys of Leat's own ConfigMap that nobody reads: a slip of the
// pen. Keys that begin with _ are examples, as everywhere in Knative.
func (r *Reader) unknown(data map[string]string) []routing.Problem {
	var known []string
	for _, k := range r.keys {
		if k.configMap == r.names.Leat {
			known = append(known, k.name)
		}
	}
	var problems []routing.Problem
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if !strings.HasPrefix(name, "_") && !slices.Contains(known, name) {
			problems = append(problems, routing.Problem{
				File: r.names.Leat, Object: name, Reason: "there is no such setting; there are " + strings.Join(known, ", "),
			})
		}
	}
	return problems
}

// A Change is a setting that takes effect when the data plane is started again.
type Change struct {
	ConfigMap, Key string
	// Running is the value in effect, Wanted the one that is set.
	Running, Wanted string
}

// Pending are the changes from the settings that a data plane runs with.
func (r *Reader) Pending(running, wanted Settings) []Change {
	var changes []Change
	for _, k := range r.keys {
		if k.show == nil || k.show(&running) == k.show(&wanted) {
			continue
		}
		changes = append(changes, Change{ConfigMap: k.configMap, Key: k.name, Running: k.show(&running), Wanted: k.show(&wanted)})
	}
	return changes
}
