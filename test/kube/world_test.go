package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"leat.dev/leat/test/harness"
)

// system is the namespace of Leat's own objects.
const system = "knative-eventing"

// A world is a cluster with Knative Eventing's API and Leat installed from
// config/, and Leat's two programs as if they were pods of it.
type world struct {
	*cluster
	manifests  []*unstructured.Unstructured
	controller *program
	dispatcher *program
	// others are controllers that a test has started.
	others []*program
	// cold is true if the API server has been started more than once. It refuses
	// everything until it has read all roles.
	cold bool

	// events, status and admin are the dispatcher's addresses.
	events, status, admin string
}

// startWorld returns when the dispatcher is ready. What it could start is in
// the world even if the error is not nil.
func startWorld(ctx context.Context, dir string) (*world, error) {
	c, err := startCluster(ctx, dir)
	if err != nil {
		return nil, err
	}
	w := &world{cluster: c}
	if err := errors.Join(freeAddresses(&w.events, &w.status, &w.admin), w.install(ctx)); err != nil {
		return w, err
	}
	if w.controller, err = w.newController(ctx, "leat-controller-0"); err != nil {
		return w, err
	}
	if w.dispatcher, err = w.newDispatcher(ctx); err != nil {
		return w, err
	}
	if err := errors.Join(w.controller.start(), w.dispatcher.start()); err != nil {
		return w, err
	}
	return w, w.waitDispatcher(ctx)
}

// install makes what `kubectl apply` of Knative Eventing and of Leat would.
func (w *world) install(ctx context.Context) error {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "knative.dev/eventing").Output()
	if err != nil {
		return fmt.Errorf("looking for Knative Eventing's manifests: %w", err)
	}
	core := filepath.Join(strings.TrimSpace(string(dir)), "config", "core")
	for _, pattern := range []string{
		filepath.Join(core, "100-namespace.yaml"),
		filepath.Join(core, "200-eventing-serviceaccount.yaml"),
		filepath.Join(core, "resources", "*.yaml"),
		filepath.Join(core, "roles", "*.yaml"),
		filepath.Join(core, "configmaps", "*.yaml"),
		filepath.Join(root, "config", "*.yaml"),
	} {
		objects, err := readManifests(pattern)
		if err != nil {
			return err
		}
		w.manifests = append(w.manifests, objects...)
	}
	for _, object := range w.manifests {
		if object.GetKind() == "ConfigMap" && object.GetName() == "config-leader-election" {
			hasten(object)
		}
	}
	return errors.Join(w.create(ctx, w.manifests...), w.aggregate(ctx), w.waitEstablished(ctx))
}

// hasten lets a controller take over soon from one that was killed: the shipped
// settings take up to 60 s for that.
func hasten(config *unstructured.Unstructured) {
	config.Object["data"] = map[string]any{"lease-duration": "3s", "renew-deadline": "2s", "retry-period": "500ms"}
}

// newController makes a controller that runs as the pod of that name would.
func (w *world) newController(ctx context.Context, name string) (*program, error) {
	d, err := find[appsv1.Deployment](w.manifests, "Deployment", "leat-controller")
	if err != nil {
		return nil, err
	}
	p := newProgram(w.dir, name, controllerBinary)
	var probes, profiling, metrics string
	if err := freeAddresses(&probes, &profiling, &metrics); err != nil {
		return nil, err
	}
	own := map[string]string{
		"LEAT_STATUS_URL": "http://" + w.status,
		// Every pod has an address of its own; here they share one.
		"HEALTH_PORT": port(probes), "PROFILING_PORT": port(profiling), "METRICS_PROMETHEUS_PORT": port(metrics),
	}
	return p, w.asPod(ctx, p, d.Spec.Template.Spec, own)
}

// newDispatcher makes the one dispatcher. It keeps its addresses and its folder
// however often it is started.
func (w *world) newDispatcher(ctx context.Context) (*program, error) {
	s, err := find[appsv1.StatefulSet](w.manifests, "StatefulSet", "leat-dispatcher")
	if err != nil {
		return nil, err
	}
	p := newProgram(w.dir, "leat-dispatcher-0", dispatcherBinary,
		"--data", filepath.Join(w.dir, "data"), "--listen", w.events, "--status", w.status, "--admin", w.admin)
	return p, w.asPod(ctx, p, s.Spec.Template.Spec, nil)
}

// asPod gives a program the environment and the rights of the first container
// of a pod; own goes before what the pod says.
func (w *world) asPod(ctx context.Context, p *program, pod corev1.PodSpec, own map[string]string) error {
	for _, e := range pod.Containers[0].Env {
		value, err := fieldOr(e, p.name)
		if err != nil {
			return err
		}
		if _, ok := own[e.Name]; !ok {
			p.env = append(p.env, e.Name+"="+value)
		}
	}
	for name, value := range own {
		p.env = append(p.env, name+"="+value)
	}
	// Pods find it in /etc/resolv.conf; that of this machine is of no interest.
	p.env = append(p.env, "CLUSTER_DOMAIN=cluster.local")
	hours := int64(24 * 3600)
	token, err := w.kube.CoreV1().ServiceAccounts(system).CreateToken(ctx, pod.ServiceAccountName,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hours}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("a token for the ServiceAccount %s of %s: %w", pod.ServiceAccountName, p.name, err)
	}
	path, err := w.kubeconfig(p.name, token.Status.Token)
	p.args = append(p.args, "--kubeconfig", path)
	return err
}

// fieldOr returns the value of a variable, which may be a field of the pod.
func fieldOr(e corev1.EnvVar, podName string) (string, error) {
	if e.ValueFrom == nil {
		return e.Value, nil
	}
	if e.ValueFrom.FieldRef != nil {
		switch e.ValueFrom.FieldRef.FieldPath {
		case "metadata.namespace":
			return system, nil
		case "metadata.name":
			return podName, nil
		}
	}
	return "", fmt.Errorf("the tests do not know what %s is in a pod: %v", e.Name, e.ValueFrom)
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// waitDispatcher waits until the dispatcher says that it is ready.
func (w *world) waitDispatcher(ctx context.Context) error {
	return poll(ctx, startTimeout, w.dispatcherReady)
}

// dispatcherReady asks it once.
func (w *world) dispatcherReady(ctx context.Context) error {
	if !w.dispatcher.running() {
		return stopPolling(fmt.Errorf("the dispatcher ended: %s\n%s", w.dispatcher.cmd.ProcessState, w.dispatcher.tail(logLines)))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := harness.TryDo(ctx, http.MethodGet, "http://"+w.status+"/readyz", nil, nil)
	if err != nil || r.Status != http.StatusOK {
		return fmt.Errorf("the dispatcher is not ready: %w, answered %d: %s", err, r.Status, r.Body)
	}
	return nil
}

// programs returns those that were started.
func (w *world) programs() []*program {
	all := append([]*program{w.etcd, w.apiserver, w.controller, w.dispatcher}, w.others...)
	return slices.DeleteFunc(all, func(p *program) bool { return p == nil || p.cmd == nil })
}

// close ends the programs. Leat's must end in order, and their logs must not
// tell of a mistake in them.
func (w *world) close() error {
	var errs []error
	for _, p := range w.programs() {
		if p == w.etcd || p == w.apiserver {
			continue
		}
		errs = append(errs, p.stop(), w.mistakes(p))
	}
	return errors.Join(append(errs, w.stop())...)
}

// restartAPIServer starts it again, with all that it knew.
func (w *world) restartAPIServer() error {
	w.cold = true
	return w.apiserver.start()
}

// mistakes returns an error if a program's log tells of a data race, a broken
// invariant or rights that it has not got.
func (w *world) mistakes(p *program) error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	signs := []string{"WARNING: DATA RACE", "panic: ", "BUG: "}
	if !w.cold {
		signs = append(signs, "is forbidden: ")
	}
	for _, sign := range signs {
		if i := bytes.Index(text, []byte(sign)); i >= 0 {
			return fmt.Errorf("%s logged:\n%s", p.name, text[i:min(len(text), i+4000)])
		}
	}
	return nil
}
