//go:build e2e

package e2e

import (
	"bufio"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"leat.dev/leat/pkg/admin"
)

// Who applies the same again changes nothing that runs.
func TestInstallingAgainChangesNothing(t *testing.T) {
	running := func() string {
		var all []string
		for _, component := range components {
			p, err := pod(t.Context(), component)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p.Name+" "+string(p.UID))
		}
		d, err := cluster.kube.AppsV1().Deployments(system).Get(t.Context(), "leat-controller", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := cluster.kube.AppsV1().StatefulSets(system).Get(t.Context(), "leat-dispatcher", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, ", ") + " " + show([]int64{d.Generation, s.Generation})
	}
	before := running()
	if err := apply(cluster.version); err != nil {
		t.Fatal(err)
	}
	if err := rolledOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := running(); now != before {
		t.Errorf("before: %s; after: %s", before, now)
	}
}

func TestProbesAndMetricsAnswer(t *testing.T) {
	if got := proxied(t, "leat-dispatcher", "9090", "metrics"); !strings.Contains(got, "leat_") {
		t.Errorf("no metrics of Leat: %s", got)
	}
	for _, path := range []string{"healthz", "readyz"} {
		proxied(t, "leat-dispatcher", "9090", path)
	}
	for _, path := range []string{"health", "readiness"} {
		proxied(t, "leat-controller", "8080", path)
	}
}

// The operator API has no authentication: only who may forward a port reaches
// it.
func TestOperatorAPIIsOnLoopbackAlone(t *testing.T) {
	p, err := pod(t.Context(), "leat-dispatcher")
	if err != nil {
		t.Fatal(err)
	}
	got, err := cluster.kube.CoreV1().Pods(system).ProxyGet("http", p.Name, "8081", "/v1/streams", nil).DoRaw(t.Context())
	if err == nil {
		t.Errorf("the pod's address answers: %s", got)
	}
	if _, err := operator(t).Streams(t.Context()); err != nil {
		t.Error(err)
	}
}

func (w *world) operator() *admin.Client {
	w.Helper()
	return operator(w)
}

func (w *world) status(path string) string {
	w.Helper()
	return proxied(w, "leat-dispatcher", "9090", path)
}

// proxied gets a page of one of Leat's pods, through the API server.
func proxied(t testing.TB, component, port, path string) string {
	t.Helper()
	p, err := pod(t.Context(), component)
	if err != nil {
		t.Fatal(err)
	}
	text, err := cluster.kube.CoreV1().Pods(system).ProxyGet("http", p.Name, port, path, nil).DoRaw(t.Context())
	if err != nil {
		t.Fatalf("%s of %s: %v: %s", path, p.Name, err, text)
	}
	return string(text)
}

var forwarded = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:[0-9]+)`)

// operator reaches the operator API as docs/install.md says, until the test
// ends.
func operator(t testing.TB) *admin.Client {
	t.Helper()
	c := exec.Command("kubectl", "-n", system, "port-forward", "pod/leat-dispatcher-0", ":8081")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
	})
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		lines <- line
	}()
	select {
	case line := <-lines:
		found := forwarded.FindStringSubmatch(line)
		if found == nil {
			t.Fatalf("kubectl port-forward says %q", line)
		}
		client, err := admin.NewClient(found[1])
		if err != nil {
			t.Fatal(err)
		}
		return client
	case <-time.After(30 * time.Second):
		t.Fatal("kubectl port-forward says nothing")
		return nil
	}
}
