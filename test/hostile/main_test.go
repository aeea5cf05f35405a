// Package hostile sends to the running binary what no honest sender sends, and
// as much of it as one machine can. Each attack is answered with a 4xx or cut
// off within a bound, nothing of it is stored, a healthy sender is served
// meanwhile, and what it took in memory and goroutines comes back.
//
// -torture.time (or LEAT_TORTURE_TIME) is how long each of the long versions may
// go on, -seed (or LEAT_SEED) repeats what is random.
package hostile

import (
	"cmp"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

var (
	tortureTime = flag.Duration("torture.time", 0, "how long each long version may go on; 0 runs the short ones (default: LEAT_TORTURE_TIME)")
	seed        = flag.Uint64("seed", 0, "seed of all that is random; 0 takes one from the clock (default: LEAT_SEED)")
)

func TestMain(m *testing.M) {
	harness.FlagFromEnvironment("torture.time", "LEAT_TORTURE_TIME")
	harness.FlagFromEnvironment("seed", "LEAT_SEED")
	flag.Parse()
	harness.Main(m)
}

// long says whether the long versions run.
func long() bool { return *tortureTime > 0 }

// random is the chance of one part of a test; its seed is in the log.
func random(t *testing.T, part uint64) *rand.Rand {
	t.Helper()
	s := cmp.Or(*seed, uint64(time.Now().UnixNano()))
	t.Logf("part %d: -seed %d", part, s)
	return rand.New(rand.NewPCG(s, part))
}
