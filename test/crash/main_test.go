// Package crash shows that every event that was answered with 2xx is delivered
// to every route that wants it, or becomes a dead letter of it, whatever ends
// the process: SIGKILL at random moments and SIGTERM, both under load, and,
// with a data plane on a file system in memory, power cuts.
package crash

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

var (
	rounds = flag.Int("rounds", 8, "how often the process is killed")
	seed   = flag.Uint64("seed", 0, "seed of all that is random; 0 takes one from the clock")
)

func TestMain(m *testing.M) {
	flag.Parse()
	harness.Main(m)
}

// random is the chance of one test; its seed is in the log.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, s))
}

// between is a random time.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}
