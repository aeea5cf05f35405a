package filter

import (
	"encoding/json"
	"testing"

	"leat.dev/leat/pkg/routing"
)

// FuzzCompile: any filter compiles to something that is safe to ask, says what
// is wrong in bounded words, and never matches outside of its interest.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"Attributes":{"type":"shop.order.created","blank":""}}`, `{"Attributes":{"Type":"x","":"y"}}`,
		`{"Filters":[{"Exact":{"type":"shop.order.created"}},{"Not":{"Prefix":{"source":"/x"}}}]}`,
		`{"Filters":[{"All":[{"Any":[{},{"Not":{}}]},{"Suffix":{"id":"1"}}]},{"CESQL":"priority > 5 AND EXISTS region"}]}`,
		`{"Filters":[{"CESQL":"type =","Exact":{"a":"b"}},{"Any":[]},{"Not":{"Not":{"Not":{"CESQL":"TRUE"}}}}]}`,
		`{"Filters":[{"Any":[{"Exact":{"type":"a"}},{"Exact":{"type":"shop.order.created","source":"/shop/berlin"}}]}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var in routing.Filter
		if len(text) > 2000 || json.Unmarshal([]byte(text), &in) != nil {
			return
		}
		compiled, err := Compile(in)
		if err != nil && len(err.Error()) > 20*len(text)+2000 {
			t.Fatalf("%d bytes of mistakes in %d bytes of filter", len(err.Error()), len(text))
		}
		e := order()
		if compiled.Match(e) && compiled.Interest().outside(e) {
			t.Fatalf("%s matches outside of %+v", text, compiled.Interest())
		}
	})
}
