// Package manifests tests config/ without a cluster: that every object is what
// Kubernetes takes, that the parts fit, and what they are allowed to do.
package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	root   = "../.."
	config = root + "/config"
	// namespace is that of Knative Eventing core.
	namespace = "knative-eventing"
)

// decoder refuses fields that a type does not have and keys that are there
// twice.
var decoder = func() runtime.Decoder {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(s); err != nil {
			panic("BUG: a scheme that does not fit: " + err.Error())
		}
	}
	return serializer.NewCodecFactory(s, serializer.EnableStrict).UniversalDeserializer()
}()

// An object of a file, typed.
type object struct {
	file string
	kind string
	metav1.Object
	typed runtime.Object
}

func (o object) String() string { return o.file + ": " + o.kind + " " + o.GetName() }

// readAll reads the objects of the folders, in the order in which ko applies
// them.
func readAll(t *testing.T, folders ...string) []object {
	t.Helper()
	var all []object
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no manifests in %s: %v", folder, err)
		}
		for _, file := range files {
			all = append(all, readFile(t, file)...)
		}
	}
	return all
}

func readFile(t *testing.T, file string) []object {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var objects []object
	for reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		typed, kind, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, doc)
		}
		meta, ok := typed.(metav1.Object)
		if !ok {
			t.Fatalf("%s: a %s is no object with a name", file, kind.Kind)
		}
		objects = append(objects, object{filepath.Base(file), kind.Kind, meta, typed})
	}
}

// of returns the objects of a type by their names.
func of[T runtime.Object](objects []object) map[string]T {
	found := make(map[string]T)
	for _, o := range objects {
		if typed, ok := o.typed.(T); ok {
			found[o.GetName()] = typed
		}
	}
	return found
}

// clusterScoped are the kinds without a namespace.
var clusterScoped = map[string]bool{
	"ClusterRole": true, "ClusterRoleBinding": true, "CustomResourceDefinition": true,
	"ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
}

func TestEveryObjectIsLabelledAndInItsPlace(t *testing.T) {
	seen := make(map[string]string)
	for _, o := range readAll(t, config, config+"/optional") {
		for _, key := range []string{"name", "part-of", "component", "version"} {
			if o.GetLabels()["app.kubernetes.io/"+key] == "" {
				t.Errorf("%v has no label app.kubernetes.io/%s", o, key)
			}
		}
		if got := o.GetLabels()["app.kubernetes.io/part-of"]; got != "leat" {
			t.Errorf("%v is part of %q", o, got)
		}
		want := namespace
		if clusterScoped[o.kind] {
			want = ""
		}
		if o.GetNamespace() != want {
			t.Errorf("%v is in the namespace %q, not %q", o, o.GetNamespace(), want)
		}
		id := o.kind + "/" + o.GetName()
		if seen[id] != "" {
			t.Errorf("%v is in %s already", o, seen[id])
		}
		seen[id] = o.file
	}
}

// The order of the files is the order in which they are applied: what is used
// comes before who uses it. The namespace is Knative Eventing's own.
func TestFilesAreNumberedAndMakeNoNamespace(t *testing.T) {
	numbered := regexp.MustCompile(`^[1-9][0-9]{2}-[a-z-]+\.yaml$`)
	for _, o := range readAll(t, config) {
		if !numbered.MatchString(o.file) {
			t.Errorf("the name of %s has no number", o.file)
		}
		if o.kind == "Namespace" {
			t.Errorf("%v: core makes it", o)
		}
	}
}
