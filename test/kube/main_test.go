// Package kube shows that Leat does on Kubernetes what its users rely on: the
// real controller and dispatcher run with the rights that config/ gives them,
// against a real kube-apiserver and etcd with Knative's CRDs.
//
// There are no nodes and no DNS. The tests start the two programs themselves,
// stand in for the cluster's name service when they send events (see http), and
// address subscribers by their URI.
//
// Most tests share one world and run at once, in namespaces of their own (calm).
// A test that ends or stops programs has a world to itself (rough).
package kube

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

// What the tests run, as paths.
var controlPlane, controllerBinary, dispatcherBinary string

// root is the folder of the module.
const root = "../.."

func TestMain(m *testing.M) {
	// The tests wait far more than they work.
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic("BUG: the flag is go test's: " + err.Error())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "leat-kube-")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	worlds = newWorlds(dir)
	code := m.Run()
	if err := worlds.close(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// build makes the programs, if that has not been done. What takes minutes says
// so on standard error.
func build(dir string) error {
	script := exec.Command(filepath.Join("controlplane", "build.sh"))
	script.Stderr = os.Stderr
	path, err := script.Output()
	if err != nil {
		return fmt.Errorf("building the control plane: %w", err)
	}
	controlPlane = strings.TrimSpace(string(path))
	var errs [2]error
	controllerBinary, errs[0] = harness.Build(dir, "controller")
	dispatcherBinary, errs[1] = harness.Build(dir, "dispatcher")
	return errors.Join(errs[:]...)
}
