package manifests

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// rights is all that Leat's own roles allow, one resource a line. Whoever adds
// a line says in the manifest what for.
var rights = map[string][]string{
	"ClusterRole leat-controller": {
		"brokers.eventing.knative.dev: get knsubscribe list patch watch",
		"brokers/status.eventing.knative.dev: update",
		"configmaps: get",
		"events: create patch",
		"leatchannels.messaging.knative.dev: get list patch watch",
		"leatchannels/finalizers.messaging.knative.dev: update",
		"leatchannels/status.messaging.knative.dev: update",
		"services: create get list update watch",
		"subscriptions.messaging.knative.dev: get list watch",
		"triggers.eventing.knative.dev: get list watch",
		"triggers/status.eventing.knative.dev: update",
	},
	"ClusterRole leat-dispatcher": {
		"brokers.eventing.knative.dev: get list watch",
		"leatchannels.messaging.knative.dev: get list watch",
		"subscriptions.messaging.knative.dev: get list watch",
		"triggers.eventing.knative.dev: get list watch",
	},
	"Role leat-controller": {
		"configmaps: get list watch",
		"leases.coordination.k8s.io: create get update",
	},
	"Role leat-dispatcher": {
		"configmaps config-features: get list watch",
		"configmaps config-leat: get list watch",
		"configmaps config-logging: get list watch",
		"configmaps config-observability: get list watch",
	},
}

// aggregated are the rights that Leat hands to Knative's own controllers, by the
// label that hands them over.
var aggregated = map[string][]string{
	"duck.knative.dev/addressable": {
		"leatchannels.messaging.knative.dev: get list watch",
		"leatchannels/status.messaging.knative.dev: get list watch",
	},
	"duck.knative.dev/channelable": {
		"leatchannels.messaging.knative.dev: create delete get list patch update watch",
		"leatchannels/status.messaging.knative.dev: create delete get list patch update watch",
	},
	"duck.knative.dev/crossnamespace-subscribable": {
		"leatchannels.messaging.knative.dev: knsubscribe",
	},
}

func TestRolesAllowWhatIsListedAndNoMore(t *testing.T) {
	objects := readAll(t, config)
	got := make(map[string][]rbacv1.PolicyRule)
	handed := make(map[string][]rbacv1.PolicyRule)
	for name, role := range of[*rbacv1.Role](objects) {
		got["Role "+name] = role.Rules
	}
	for name, role := range of[*rbacv1.ClusterRole](objects) {
		duck := slices.IndexFunc(slices.Collect(maps.Keys(role.Labels)), func(k string) bool {
			return strings.HasPrefix(k, "duck.knative.dev/")
		})
		if duck < 0 {
			got["ClusterRole "+name] = role.Rules
			continue
		}
		for label := range role.Labels {
			if strings.HasPrefix(label, "duck.knative.dev/") {
				handed[label] = append(handed[label], role.Rules...)
			}
		}
	}
	compareRights(t, got, rights)
	compareRights(t, handed, aggregated)
}

func compareRights(t *testing.T, got map[string][]rbacv1.PolicyRule, want map[string][]string) {
	t.Helper()
	for name, rules := range got {
		if flat := flatten(t, name, rules); !slices.Equal(flat, want[name]) {
			t.Errorf("%s allows:\n\t%s\nlisted is:\n\t%s", name,
				strings.Join(flat, "\n\t"), strings.Join(want[name], "\n\t"))
		}
	}
	for name := range want {
		if got[name] == nil {
			t.Errorf("%s is listed and not in config/", name)
		}
	}
}

// flatten writes rules as the lists above do. It fails on what must never be
// there, whatever a list says.
func flatten(t *testing.T, role string, rules []rbacv1.PolicyRule) []string {
	t.Helper()
	verbs := make(map[string][]string)
	for _, rule := range rules {
		if len(rule.NonResourceURLs) > 0 {
			t.Errorf("%s has URLs: %v", role, rule.NonResourceURLs)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				if strings.HasPrefix(resource, "secrets") || strings.Contains(resource, "token") {
					t.Errorf("%s reads %s", role, resource)
				}
				name := strings.TrimSuffix(resource+"."+group, ".")
				for _, one := range append(slices.Clone(rule.ResourceNames), "")[:max(1, len(rule.ResourceNames))] {
					key := strings.TrimSpace(name + " " + one)
					verbs[key] = append(verbs[key], rule.Verbs...)
				}
			}
		}
	}
	var flat []string
	for key, list := range verbs {
		slices.Sort(list)
		line := key + ": " + strings.Join(slices.Compact(list), " ")
		if strings.Contains(line, "*") {
			t.Errorf("%s has a wildcard: %s", role, line)
		}
		flat = append(flat, line)
	}
	slices.Sort(flat)
	return flat
}

// knatives are the roles of Knative Eventing core that Leat binds: both read.
var knatives = []string{"addressable-resolver", "source-observer"}

func TestBindingsJoinWhatIsThere(t *testing.T) {
	objects := readAll(t, config)
	accounts, clusterRoles, roles := of[*corev1.ServiceAccount](objects), of[*rbacv1.ClusterRole](objects), of[*rbacv1.Role](objects)
	bound := make(map[string]bool)
	check := func(name string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		t.Helper()
		bound[ref.Kind+" "+ref.Name] = true
		switch {
		case ref.Kind == "Role" && roles[ref.Name] != nil:
		case ref.Kind == "ClusterRole" && (clusterRoles[ref.Name] != nil || slices.Contains(knatives, ref.Name)):
		default:
			t.Errorf("%s binds %s %s, which is not there", name, ref.Kind, ref.Name)
		}
		for _, s := range subjects {
			if s.Kind != "ServiceAccount" || s.Namespace != namespace || accounts[s.Name] == nil {
				t.Errorf("%s is for %s %s/%s, which is not there", name, s.Kind, s.Namespace, s.Name)
			}
		}
		if len(subjects) != 1 || !strings.HasPrefix(name, subjects[0].Name) {
			t.Errorf("%s is for %v", name, subjects)
		}
	}
	for name, b := range of[*rbacv1.ClusterRoleBinding](objects) {
		check(name, b.RoleRef, b.Subjects)
	}
	for name, b := range of[*rbacv1.RoleBinding](objects) {
		check(name, b.RoleRef, b.Subjects)
	}
	for role := range rights {
		if !bound[role] {
			t.Errorf("%s is bound to nobody", role)
		}
	}
	for name, account := range accounts {
		if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
			t.Errorf("every pod with the account %s gets its token, also one that does not ask", name)
		}
	}
}
