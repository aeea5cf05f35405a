package crash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"leat.dev/leat/test/harness"
)

// kept are the dead letters that leat keeps for a route, as an operator sees
// them.
type kept struct {
	t     *testing.T
	lives *lives
	path  string
	from  uint64 // seen up to here
	ids   map[string]int
}

func newKept(t *testing.T, route string) *kept {
	return &kept{t: t, path: "/v1/streams" + orders + "/deadletters/" + route, ids: map[string]int{}}
}

// counts is how often each event is among them, by the process that runs or ran
// last.
func (k *kept) counts() map[string]int {
	k.t.Helper()
	for {
		select {
		case <-k.lives.Exited():
			return k.ids
		default:
		}
		if !k.page() {
			return k.ids
		}
	}
}

// page reads on and says whether there is more.
func (k *kept) page() bool {
	k.t.Helper()
	r := harness.Do(k.t, http.MethodGet, fmt.Sprintf("%s%s?limit=500&from=%d", k.lives.Admin, k.path, k.from+1), nil, nil)
	var page struct {
		DeadLetters []struct {
			Seq uint64
			ID  string
		}
		Next uint64
	}
	if err := json.Unmarshal([]byte(r.Body), &page); err != nil || r.Status != http.StatusOK {
		k.t.Fatalf("dead letters: %d %s, %v", r.Status, r.Body, err)
	}
	for _, d := range page.DeadLetters {
		k.ids[d.ID]++
		k.from = d.Seq
	}
	return page.Next != 0
}
