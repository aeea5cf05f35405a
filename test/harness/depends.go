package harness

import (
	// The tests run the program as another process, of which go test knows
	// nothing: it would go on showing their cached results when the program has
	// changed. It knows of an import.
	_ "leat.dev/leat/pkg/cli"
)
