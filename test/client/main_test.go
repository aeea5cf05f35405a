// Package client shows that clients which know nothing of Leat can use it: the
// CloudEvents Go SDK's, sending and receiving, and the README's command lines.
package client

import (
	"os"
	"path/filepath"
	"testing"

	"leat.dev/leat/test/harness"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "curl" {
		os.Exit(curl(os.Args[1:]))
	}
	harness.Main(m)
}
