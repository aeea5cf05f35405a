// Package seeds repeats a random test with one seed, or with many for a while.
package seeds

import (
	"cmp"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Each runs a test with the seed LEAT_SEED or any one, and with further ones for
// as long as LEAT_TORTURE_TIME says, until the test has failed.
func Each(t *testing.T, run func(seed uint64)) {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("LEAT_SEED"), 10, 64)
	if err != nil || seed == 0 {
		seed = rand.Uint64()
	}
	length, err := time.ParseDuration(cmp.Or(os.Getenv("LEAT_TORTURE_TIME"), "0"))
	if err != nil {
		t.Fatalf("LEAT_TORTURE_TIME: %v", err)
	}
	for begun := time.Now(); ; seed++ {
		run(seed)
		if t.Failed() || time.Since(begun) >= length {
			return
		}
	}
}
