package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// readManifests reads all objects of the YAML files that match, in the order of
// the files' names.
func readManifests(pattern string) ([]*unstructured.Unstructured, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no manifests are at %s: %w", pattern, errors.Join(err, os.ErrNotExist))
	}
	var all []*unstructured.Unstructured
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		objects, err := parseManifests(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

func parseManifests(text []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := map[string]any{}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object) > 0 {
			all = append(all, &unstructured.Unstructured{Object: object})
		}
	}
}

// resource returns the client for objects like this one.
func (c *cluster) resource(object *unstructured.Unstructured) dynamic.ResourceInterface {
	// The guess is right for every kind in the manifests.
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	if namespace := object.GetNamespace(); namespace != "" {
		return c.objects.Resource(resource).Namespace(namespace)
	}
	return c.objects.Resource(resource)
}

// create makes the objects. What the API server does not know every field of,
// it refuses.
func (c *cluster) create(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, object := range objects {
		_, err := c.resource(object).Create(ctx, object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			return fmt.Errorf("creating %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// waitEstablished waits until the API server serves every kind that was defined.
func (c *cluster) waitEstablished(ctx context.Context) error {
	return poll(ctx, startTimeout, func(ctx context.Context) error {
		list, err := c.objects.Resource(crds).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, crd := range list.Items {
			if !isTrue(crd.Object, "Established") {
				return fmt.Errorf("%s is not established: %v", crd.GetName(), crd.Object["status"])
			}
		}
		return nil
	})
}

// isTrue says whether a condition of an object's status is.
func isTrue(object map[string]any, condition string) bool {
	conditions, _, err := unstructured.NestedSlice(object, "status", "conditions")
	return err == nil && slices.ContainsFunc(conditions, func(c any) bool {
		fields, ok := c.(map[string]any)
		return ok && fields["type"] == condition && fields["status"] == "True"
	})
}

// aggregate fills ClusterRoles that are made up of others, which is
// kube-controller-manager's work.
func (c *cluster) aggregate(ctx context.Context) error {
	list, err := c.kube.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, role := range list.Items {
		if role.AggregationRule == nil {
			continue
		}
		if role.Rules, err = gather(role.AggregationRule, list.Items); err != nil {
			return fmt.Errorf("ClusterRole %s: %w", role.Name, err)
		}
		if _, err := c.kube.RbacV1().ClusterRoles().Update(ctx, &role, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func gather(rule *rbacv1.AggregationRule, from []rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	for _, match := range rule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&match)
		if err != nil {
			return nil, err
		}
		for _, role := range from {
			if role.AggregationRule == nil && selector.Matches(labels.Set(role.Labels)) {
				rules = append(rules, role.Rules...)
			}
		}
	}
	return rules, nil
}

// find returns the object of a kind and name.
func find[T any](objects []*unstructured.Unstructured, kind, name string) (*T, error) {
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			var typed T
			return &typed, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed)
		}
	}
	return nil, fmt.Errorf("the manifests have no %s %s", kind, name)
}
