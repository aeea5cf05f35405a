// Package hostile sends to the running binary what no honest sender sends, and
// as much of it as one machine can. Each attack is answered with a 4xx or cut
// off within a bound, nothing of it is stored, a healthy sender is served
// meanwhile, and what it took in memory and goroutines comes back.
package hostile

import (
	"testing"

	"leat.dev/leat/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
