// Package torture runs what goes wrong for long or at a large size: full disks,
// bad routes, backlogs, hostile senders, dead letter sinks that are down,
// clocks that jump.
//
// go test runs a short version of everything, which asserts nothing about time.
// make torture runs the long versions, which also measure: -torture.time is how
// long each of those may go on that have no end of their own.
package torture

import (
	"flag"
	"testing"

	"leat.dev/leat/test/harness"
)

var tortureTime = flag.Duration("torture.time", 0, "how long each long version may go on; 0 runs the short ones (default: LEAT_TORTURE_TIME)")

func TestMain(m *testing.M) {
	harness.FlagFromEnvironment("torture.time", "LEAT_TORTURE_TIME")
	flag.Parse()
	harness.Main(m)
}

// long says whether the long versions run.
func long() bool { return *tortureTime > 0 }
