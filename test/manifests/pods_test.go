package manifests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// nobody is the user that distroless and ko's base images have for those who
// are not root.
const nobody = 65532

// A workload is a pod template and who has it.
type workload struct {
	name     string
	labels   map[string]string
	selector map[string]string
	pod      corev1.PodSpec
}

func workloads(t *testing.T, objects []object) []workload {
	t.Helper()
	var found []workload
	for name, d := range of[*appsv1.Deployment](objects) {
		found = append(found, workload{"Deployment " + name, d.Spec.Template.Labels, d.Spec.Selector.MatchLabels, d.Spec.Template.Spec})
	}
	for name, s := range of[*appsv1.StatefulSet](objects) {
		found = append(found, workload{"StatefulSet " + name, s.Spec.Template.Labels, s.Spec.Selector.MatchLabels, s.Spec.Template.Spec})
	}
	if len(found) != 2 {
		t.Fatalf("%d workloads; there are a controller and a dispatcher", len(found))
	}
	return found
}

func TestPodsAreConfined(t *testing.T) {
	objects := readAll(t, config)
	accounts := of[*corev1.ServiceAccount](objects)
	for _, w := range workloads(t, objects) {
		refuse := func(when bool, why string) {
			t.Helper()
			if when {
				t.Errorf("%s: %s", w.name, why)
			}
		}
		p := w.pod
		refuse(p.HostNetwork || p.HostPID || p.HostIPC, "is in a namespace of the host")
		refuse(accounts[p.ServiceAccountName] == nil, "the account "+p.ServiceAccountName+" is not there")
		refuse(p.EnableServiceLinks == nil || *p.EnableServiceLinks, "gets every Service as a variable")
		refuse(len(p.InitContainers)+len(p.EphemeralContainers) > 0 || len(p.Containers) != 1, "has not just one container")
		refuse(p.SecurityContext == nil || p.SecurityContext.SeccompProfile == nil ||
			p.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault, "has no seccomp profile")
		refuse(p.SecurityContext.RunAsUser == nil || *p.SecurityContext.RunAsUser != nobody, "runs as another user")
		refuse(p.SecurityContext.RunAsGroup == nil || *p.SecurityContext.RunAsGroup != nobody, "runs as another group")
		for _, v := range p.Volumes {
			refuse(v.HostPath != nil || v.Secret != nil, "mounts "+v.Name)
		}
		c := p.Containers[0]
		s := c.SecurityContext
		if s == nil || s.Capabilities == nil {
			t.Errorf("%s: has no security context", w.name)
			continue
		}
		refuse(s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation, "may gain privileges")
		refuse(s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem, "may write into its image")
		refuse(s.RunAsNonRoot == nil || !*s.RunAsNonRoot, "may be root")
		refuse(s.Privileged != nil && *s.Privileged, "is privileged")
		refuse(!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0, "has capabilities")
		for _, port := range c.Ports {
			refuse(port.HostPort != 0, "takes a port of the host")
		}
	}
}

func TestPodsAskForWhatTheyUse(t *testing.T) {
	for _, w := range workloads(t, readAll(t, config)) {
		c := w.pod.Containers[0]
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if q := c.Resources.Requests[name]; q.IsZero() {
				t.Errorf("%s requests no %s", w.name, name)
			}
		}
		if q := c.Resources.Limits[corev1.ResourceCPU]; !q.IsZero() {
			t.Errorf("%s is throttled at %v CPUs", w.name, q)
		}
		limit := c.Resources.Limits[corev1.ResourceMemory]
		text := env(c)["GOMEMLIMIT"]
		heap, err := resource.ParseQuantity(strings.TrimSuffix(text, "B"))
		if err != nil {
			t.Errorf("%s: GOMEMLIMIT %q: %v", w.name, text, err)
		}
		if used := float64(heap.Value()) / float64(limit.Value()); used < 0.5 || used > 0.9 {
			t.Errorf("%s: Go may use %s of %v", w.name, text, limit.String())
		}
	}
}

func TestPodsAreProbedWhereTheyListen(t *testing.T) {
	for _, w := range workloads(t, readAll(t, config)) {
		c := w.pod.Containers[0]
		ports := make(map[string]bool)
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
			if probe == nil || probe.HTTPGet == nil {
				t.Errorf("%s has no %s probe", w.name, name)
				continue
			}
			if port := probe.HTTPGet.Port; port.Type != intstr.String || !ports[port.StrVal] {
				t.Errorf("%s: the %s probe asks at %v, which is no port of it", w.name, name, port.String())
			}
		}
		if l := c.LivenessProbe; l.PeriodSeconds*l.FailureThreshold < 30 {
			t.Errorf("%s is killed after %d slow probes", w.name, l.FailureThreshold)
		}
	}
}

func TestDispatcherListensWhereItsPortsAre(t *testing.T) {
	pod := of[*appsv1.StatefulSet](readAll(t, config))["leat-dispatcher"].Spec.Template.Spec
	c := pod.Containers[0]
	args := make(map[string]string)
	for _, arg := range c.Args {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		args[name] = value
	}
	ports := make(map[string]int32)
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if args["listen"] != ":8080" || ports["http"] != 8080 || args["status"] != ":9090" || ports["http-status"] != 9090 {
		t.Errorf("args %v, ports %v", args, ports)
	}
	if !strings.HasPrefix(args["admin"], "127.0.0.1:") {
		t.Errorf("operators' requests, which nobody authenticates, are taken at %s", args["admin"])
	}
	if len(c.VolumeMounts) != 1 || c.VolumeMounts[0].MountPath != args["data"] {
		t.Errorf("events are kept in %s; mounted is %v", args["data"], c.VolumeMounts)
	}
	if p := pod.SecurityContext; p.FSGroup == nil || *p.FSGroup != nobody {
		t.Error("the volume does not belong to the user")
	}
}

func TestEventsOutliveTheStatefulSet(t *testing.T) {
	s := of[*appsv1.StatefulSet](readAll(t, config))["leat-dispatcher"]
	retain := appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	if p := s.Spec.PersistentVolumeClaimRetentionPolicy; p == nil || p.WhenDeleted != retain || p.WhenScaled != retain {
		t.Errorf("claims go with it: %+v", p)
	}
	if *s.Spec.Replicas != 1 {
		t.Errorf("%d data planes; a log has one writer", *s.Spec.Replicas)
	}
	claims := s.Spec.VolumeClaimTemplates
	if len(claims) != 1 || claims[0].Name != s.Spec.Template.Spec.Containers[0].VolumeMounts[0].Name {
		t.Errorf("claims: %v", claims)
	}
}

// The pod must not be killed while it drains, whose longest time is a setting.
func TestTerminationOutlastsTheGracePeriod(t *testing.T) {
	objects := readAll(t, config)
	settings := of[*corev1.ConfigMap](objects)["config-leat"]
	grace := 30 * time.Second
	if settings != nil && settings.Data["grace-period"] != "" {
		var err error
		if grace, err = time.ParseDuration(settings.Data["grace-period"]); err != nil {
			t.Fatal(err)
		}
	}
	pod := of[*appsv1.StatefulSet](objects)["leat-dispatcher"].Spec.Template.Spec
	if got := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; got < grace+10*time.Second {
		t.Errorf("killed after %v, of which draining may take %v", got, grace)
	}
}

func TestImagesAreCommandsThatKoKnows(t *testing.T) {
	var ko struct {
		Builds []struct{ Main string }
	}
	text, err := os.ReadFile(root + "/.ko.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &ko)
	}
	if err != nil {
		t.Fatal(err)
	}
	isMain := regexp.MustCompile(`(?m)^package main$`)
	for _, w := range workloads(t, readAll(t, config)) {
		image := w.pod.Containers[0].Image
		command, ok := strings.CutPrefix(image, "ko://leat.dev/leat/")
		if !ok {
			t.Errorf("%s: the image %s is none of ours", w.name, image)
			continue
		}
		if src, err := os.ReadFile(filepath.Join(root, command, "main.go")); err != nil || !isMain.Match(src) {
			t.Errorf("%s: %s is no command: %v", w.name, image, err)
		}
		if !slices.ContainsFunc(ko.Builds, func(b struct{ Main string }) bool { return b.Main == "./"+command }) {
			t.Errorf("%s: .ko.yaml does not say how %s is built", w.name, command)
		}
	}
}

func env(c corev1.Container) map[string]string {
	values := make(map[string]string)
	for _, e := range c.Env {
		values[e.Name] = e.Value
	}
	return values
}
