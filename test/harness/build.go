// Package harness runs the real leat binary among scripted subscribers, for
// the tests that look at the program from outside.
//
// A test starts a Leat with its manifests, Subscribers that answer by script
// and record what they get, and sends events with the CloudEvents SDK or as raw
// requests. Nothing here uses the program's packages: what is asserted is what
// any client could see.
package harness

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// Executable is the path of the binary that Main built.
var Executable string

// Main builds the binary once, runs the tests of a package and exits: it is for
// TestMain. A goroutine that a test leaves behind fails them. If the tests run with the race detector, so does the binary.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "leat-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if Executable, err = Build(dir, "leat"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Build builds one of the commands under cmd into dir and returns the binary's
// path.
func Build(dir, command string) (string, error) {
	bin := filepath.Join(dir, command)
	args := []string{"build", "-o", bin}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "leat.dev/leat/cmd/"+command)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", command, err, out)
	}
	return bin, nil
}
