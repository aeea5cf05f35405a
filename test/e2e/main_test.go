//go:build e2e

// Package e2e tests Leat on a real cluster: it installs config/ with ko on the
// cluster that KUBECONFIG names, sends and receives events in pods, and leaves
// Leat installed. Knative Eventing must be there, with its own broker.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	eventing "knative.dev/eventing/pkg/client/clientset/versioned"

	leat "leat.dev/leat/pkg/client/clientset/versioned"
)

const (
	root = "../.."
	// system is the namespace that Leat is installed in.
	system = "knative-eventing"
	// An upgrade leads from one of the versions to the other.
	firstVersion, secondVersion = "e2e", "e2e-upgraded"
)

// cluster is what all tests share.
var cluster struct {
	kube     kubernetes.Interface
	eventing eventing.Interface
	leat     leat.Interface
	// probe is the image of test/e2e/probe.
	probe string
	// version is what is installed.
	version string
}

func TestMain(m *testing.M) {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	if refused := refusals(); len(refused) > 0 {
		fmt.Fprintln(os.Stderr, "e2e: Leat's roles do not allow what it does:", strings.Join(refused, "\n"))
		code = 1
	}
	os.Exit(code)
}

// prepare installs Leat and waits until it runs.
func prepare() error {
	for name, meaning := range map[string]string{
		"KUBECONFIG":     "the kubeconfig of a cluster with Knative Eventing, which gets Leat",
		"KO_DOCKER_REPO": "the registry to which ko pushes and from which the cluster pulls",
	} {
		if os.Getenv(name) == "" {
			return fmt.Errorf("%s is not set: it names %s", name, meaning)
		}
	}
	for _, tool := range []string{"ko", "kubectl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not in PATH: `ko apply` needs it", tool)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	if err := connect(config); err != nil {
		return err
	}
	if _, err := cluster.kube.Discovery().ServerResourcesForGroupVersion("eventing.knative.dev/v1"); err != nil {
		return fmt.Errorf("the cluster has no Knative Eventing, which Leat is a part of: %w", err)
	}
	if cluster.probe, err = ko(firstVersion, "build", "./test/e2e/probe"); err != nil {
		return err
	}
	cluster.probe = strings.TrimSpace(cluster.probe)
	began := time.Now()
	if err := apply(firstVersion); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := rolledOut(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, systemLogs(time.Since(began)))
	}
	fmt.Printf("installed and running after %v\n", time.Since(began).Round(time.Second))
	return nil
}

func connect(config *rest.Config) (err error) {
	config.QPS, config.Burst = 100, 200
	if cluster.kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if cluster.eventing, err = eventing.NewForConfig(config); err != nil {
		return err
	}
	cluster.leat, err = leat.NewForConfig(config)
	return err
}

// apply installs Leat the way docs/install.md does.
func apply(version string) error {
	_, err := ko(version, "apply", "-f", "config/")
	if err == nil {
		cluster.version = version
	}
	return err
}

// ko runs ko and returns what it says.
func ko(version string, args ...string) (string, error) {
	c := exec.Command("ko", args...)
	c.Dir = root
	c.Env = append(os.Environ(), "VERSION="+version)
	var said, complaint strings.Builder
	c.Stdout, c.Stderr = &said, &complaint
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("ko %s: %w\n%s%s", strings.Join(args, " "), err, said.String(), complaint.String())
	}
	return said.String(), nil
}
