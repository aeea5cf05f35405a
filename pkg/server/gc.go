package server

import (
	"os"
	"runtime/debug"
)

// TuneGC lets garbage grow to five times of what is in use, as long as Go's
// heap stays below soft bytes: what is in use is little and the hot path makes
// garbage fast. GOMEMLIMIT prevails over soft, and GOGC over all of it.
func TuneGC(soft int64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(400)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(soft)
	}
}
