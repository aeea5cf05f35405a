//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What docs/install.md tells a reader to type works as it stands there, from
// the installation to the first event and the end of its namespace.
func TestInstallPage(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, section := range []string{"Install", "The first event"} {
		blocks := shellBlocks(string(page), section)
		if len(blocks) == 0 {
			t.Fatalf("the page has no commands under %q", section)
		}
		for _, block := range blocks {
			script.WriteString(block)
		}
	}
	c := exec.Command("bash", "-eu", "-o", "pipefail", "-c", script.String())
	c.Dir = root
	c.Env = append(os.Environ(), "VERSION="+cluster.version)
	// The ports that it forwards end with it, also where it fails.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.WaitDelay = 5 * time.Second
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // nobody is left, normally
		err := cluster.kube.CoreV1().Namespaces().Delete(context.Background(), "leat-demo", metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"HTTP/1.1 202 Accepted", "id: first", `"item": "bread"`, "orders"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is nowhere in what the commands say:\n%s", want, out)
		}
	}
}

// shellBlocks are the ```sh blocks of a section. Those with other words behind
// the fence are not for everybody.
func shellBlocks(page, section string) []string {
	_, text, _ := strings.Cut(page, "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks []string
	for {
		_, rest, found := strings.Cut(text, "\n```sh\n")
		if !found {
			return blocks
		}
		var block string
		block, text, _ = strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
}
