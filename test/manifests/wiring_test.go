package manifests

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// selected is the one workload whose pods a selector picks.
func selected(t *testing.T, who string, selector map[string]string, all []workload) workload {
	t.Helper()
	var found []workload
	for _, w := range all {
		if labels.SelectorFromSet(selector).Matches(labels.Set(w.labels)) {
			found = append(found, w)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s selects %d workloads by %v", who, len(found), selector)
	}
	return found[0]
}

func TestSelectorsPickTheirOwn(t *testing.T) {
	objects := readAll(t, config, config+"/optional")
	all := workloads(t, objects)
	for _, w := range all {
		if got := selected(t, w.name, w.selector, all); got.name != w.name {
			t.Errorf("%s selects the pods of %s", w.name, got.name)
		}
	}
	budgets := of[*policyv1.PodDisruptionBudget](objects)
	for name, b := range budgets {
		if got := selected(t, "PodDisruptionBudget "+name, b.Spec.Selector.MatchLabels, all); !strings.HasSuffix(got.name, " "+name) {
			t.Errorf("the budget %s is for %s", name, got.name)
		}
		if b.Spec.MinAvailable != nil || b.Spec.MaxUnavailable == nil || b.Spec.MaxUnavailable.IntValue() != 1 {
			t.Errorf("the budget %s keeps a node from being drained", name)
		}
	}
	if len(budgets) != len(all) {
		t.Errorf("%d budgets for %d workloads", len(budgets), len(all))
	}
}

func TestServicesLeadToPorts(t *testing.T) {
	objects := readAll(t, config)
	all := workloads(t, objects)
	services := of[*corev1.Service](objects)
	for name, want := range map[string]struct {
		port   int32
		target string
	}{"leat-ingress": {80, "http"}, "leat-dispatcher": {9090, "http-status"}} {
		s := services[name]
		if s == nil || len(s.Spec.Ports) != 1 {
			t.Errorf("the Service %s is %v", name, s)
			continue
		}
		p := s.Spec.Ports[0]
		if p.Port != want.port || p.TargetPort != intstr.FromString(want.target) {
			t.Errorf("the Service %s leads from %d to %v", name, p.Port, p.TargetPort.String())
		}
		w := selected(t, "Service "+name, s.Spec.Selector, all)
		if !hasPort(w, want.target) {
			t.Errorf("%s has no port %s", w.name, want.target)
		}
	}
	status := services["leat-dispatcher"].Spec
	if status.ClusterIP != corev1.ClusterIPNone || !status.PublishNotReadyAddresses {
		t.Error("the controller must reach the data plane before it is ready")
	}
	if services["leat-ingress"].Spec.PublishNotReadyAddresses {
		t.Error("events would go to a data plane that is not ready")
	}
	if s := of[*appsv1.StatefulSet](objects)["leat-dispatcher"]; s.Spec.ServiceName != "leat-dispatcher" {
		t.Errorf("the StatefulSet's Service is %q", s.Spec.ServiceName)
	}
}

func hasPort(w workload, name string) bool {
	for _, p := range w.pod.Containers[0].Ports {
		if p.Name == name {
			return true
		}
	}
	return false
}

func TestOptionalPolicyKeepsEventsFlowing(t *testing.T) {
	objects := readAll(t, config, config+"/optional")
	all := workloads(t, objects)
	for name, p := range of[*networkingv1.NetworkPolicy](objects) {
		w := selected(t, "NetworkPolicy "+name, p.Spec.PodSelector.MatchLabels, all)
		open := false
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				if !hasPort(w, port.Port.StrVal) {
					t.Errorf("%s has no port %s", w.name, port.Port)
				}
				open = open || port.Port.StrVal == "http" && len(rule.From) == 0
			}
			for _, from := range rule.From {
				if from.PodSelector != nil {
					selected(t, "NetworkPolicy "+name, from.PodSelector.MatchLabels, all)
				}
			}
		}
		if !open {
			t.Errorf("the policy %s keeps senders out", name)
		}
	}
}

// Knative's processes find their ConfigMaps by these variables. Leat's own is
// in config/, the others are core's.
func TestSettingsAreThere(t *testing.T) {
	objects := readAll(t, config)
	own := of[*corev1.ConfigMap](objects)
	cores := []string{"config-logging", "config-observability", "config-features", "config-leader-election"}
	for _, w := range workloads(t, objects) {
		e := env(w.pod.Containers[0])
		for name, value := range e {
			if !strings.HasPrefix(name, "CONFIG_") {
				continue
			}
			if own[value] == nil && !strings.Contains(strings.Join(cores, " "), value) {
				t.Errorf("%s: %s names the ConfigMap %s", w.name, name, value)
			}
		}
		for _, c := range w.pod.Containers[0].Env {
			if c.Name == "SYSTEM_NAMESPACE" && c.ValueFrom != nil && c.ValueFrom.FieldRef.FieldPath == "metadata.namespace" {
				e["SYSTEM_NAMESPACE"] = namespace
			}
		}
		if e["SYSTEM_NAMESPACE"] != namespace {
			t.Errorf("%s does not know its namespace", w.name)
		}
	}
}
