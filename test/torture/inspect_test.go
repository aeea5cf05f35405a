package torture

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// routeState is what an operator sees of a route.
type routeState struct {
	Name        string     `json:"name"`
	Lag         uint64     `json:"lag"`
	InFlight    int        `json:"inFlight"`
	Parked      int        `json:"parked"`
	Oldest      *time.Time `json:"oldest"`
	DeadLetters int        `json:"deadLetters"`
	Counters    struct {
		Delivered  int `json:"delivered"`
		HopsUsedUp int `json:"hopsUsedUp"`
	} `json:"counters"`
}

// routeOf is the state of a route of the Broker orders.
func routeOf(t *testing.T, l *harness.Leat, name string) (state routeState) {
	t.Helper()
	r := harness.Do(t, http.MethodGet, l.Admin+"/v1/streams/"+harness.Namespace+"/orders/routes/"+name, nil, nil)
	if err := json.Unmarshal([]byte(r.Body), &state); err != nil || r.Status != http.StatusOK {
		t.Fatalf("route %s: %d %s, %v", name, r.Status, r.Body, err)
	}
	return state
}

// goroutines is how many the process has; it needs --profiling.
func goroutines(t *testing.T, l *harness.Leat) int {
	t.Helper()
	r := harness.Do(t, http.MethodGet, l.Admin+"/debug/pprof/goroutine?debug=1", nil, nil)
	var n int
	if _, err := fmt.Sscanf(r.Body, "goroutine profile: total %d", &n); err != nil {
		t.Fatalf("goroutines: %v in %.100s", err, r.Body)
	}
	return n
}

// memory is the resident memory of a process in bytes, now and at most since
// resetPeak or its start.
func memory(t *testing.T, pid int) (now, peak uint64) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name != "VmRSS" && name != "VmHWM" {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if name == "VmRSS" {
			now = n << 10
		} else {
			peak = n << 10
		}
	}
	return now, peak
}
