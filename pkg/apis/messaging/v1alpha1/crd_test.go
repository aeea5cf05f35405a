package v1alpha1_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	sigsjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"leat.dev/leat/pkg/apis/messaging/v1alpha1"
)

const crdFile = "../../../../config/300-leatchannel.yaml"

// crd is the CRD of config/ as an API server has it.
var crd = sync.OnceValue(func() *apiextensions.CustomResourceDefinition {
	text, err := os.ReadFile(crdFile)
	if err != nil {
		panic(err)
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &v1); err != nil {
		panic(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	v1.Status.StoredVersions = []string{"v1alpha1"}
	var internal apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &internal, nil); err != nil {
		panic(err)
	}
	return &internal
})

// An apiServer does to an object what the real one does before it keeps it.
type apiServer struct {
	schema    *schema.Structural
	validator validation.SchemaValidator
	rules     *cel.Validator
}

var server = sync.OnceValue(func() *apiServer {
	v, err := apiextensions.GetSchemaForVersion(crd(), "v1alpha1")
	if err != nil {
		panic(err)
	}
	s := &apiServer{}
	if s.schema, err = schema.NewStructural(v.OpenAPIV3Schema); err != nil {
		panic(err)
	}
	if s.validator, _, err = validation.NewSchemaValidator(v.OpenAPIV3Schema); err != nil {
		panic(err)
	}
	s.rules = cel.NewValidator(s.schema, true, celconfig.PerCallLimit)
	return s
})

// admit prunes and completes an object, and says what is wrong with it. The
// rules are not asked where the schema says no.
func (s *apiServer) admit(object map[string]any) field.ErrorList {
	pruning.Prune(object, s.schema, true)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.schema)
	defaulting.Default(object, s.schema)
	if errs := validation.ValidateCustomResource(nil, object, s.validator); len(errs) > 0 {
		return errs
	}
	errs, _ := s.rules.Validate(context.Background(), nil, s.schema, object, nil, celconfig.RuntimeCELCostBudget)
	return errs
}

// parse reads the text of an object as an API server does.
func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	js, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	object := make(map[string]any)
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(js, &object); err != nil {
		t.Fatal(err)
	}
	object["apiVersion"], object["kind"] = "messaging.knative.dev/v1alpha1", "LeatChannel"
	object["metadata"] = map[string]any{"namespace": "shop", "name": "orders"}
	return object
}

// decode reads an object as a controller does that watches channels.
func decode(t testing.TB, object map[string]any) (*v1alpha1.LeatChannel, error) {
	t.Helper()
	js, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	c := &v1alpha1.LeatChannel{}
	return c, sigsjson.UnmarshalCaseSensitivePreserveInts(js, c)
}

// An API server refuses a CRD whose rules could cost too much.
func TestCRDIsValid(t *testing.T) {
	for _, err := range crdvalidation.ValidateCustomResourceDefinition(context.Background(), crd()) {
		t.Error(err)
	}
}

// Without a cluster there is no Service, and any name will do.
func TestCRDWantsANameForAService(t *testing.T) {
	for name, ok := range map[string]bool{"a": true, "a-b": true, "a.b": false} {
		object := parse(t, "{}")
		object["metadata"] = map[string]any{"namespace": "shop", "name": name}
		if errs := server().admit(object); (len(errs) == 0) != ok {
			t.Errorf("the name %s: %v", name, errs)
		}
	}
}

// What the control-plane spec asks of the CRD of a channel.
func TestCRDIsOfAChannel(t *testing.T) {
	for _, label := range []string{"messaging.knative.dev/subscribable", "duck.knative.dev/addressable"} {
		if crd().Labels[label] != "true" {
			t.Errorf("the label %s is missing", label)
		}
	}
	if !strings.Contains(strings.Join(crd().Spec.Names.Categories, " "), "channel") {
		t.Error("the category channel is missing")
	}
}

func TestCRDCompletes(t *testing.T) {
	object := parse(t, "{}")
	if errs := server().admit(object); len(errs) > 0 {
		t.Fatal(errs)
	}
	if _, ok := object["spec"].(map[string]any); !ok {
		t.Errorf("there is no spec: %v", object)
	}
}

// Options of a later Knative: what its Subscription controller writes stays, or
// it would write it again and again.
func TestCRDKeepsLaterOptions(t *testing.T) {
	object := parse(t, `{"spec":{"delivery":{"backoffMax":"PT5M"},"subscribers":[
		{"uid":"1","replyUri":"http://a","delivery":{"later":{"x":1}}}]}}`)
	if errs := server().admit(object); len(errs) > 0 {
		t.Fatal(errs)
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"backoffMax: PT5M", "later:"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is gone:\n%s", want, text)
		}
	}
}

// The rules have a budget at run time as well. A channel cannot be larger than
// what fits into an object, about 1.5 MiB.
func TestCRDTakesAsManySubscribersAsItSays(t *testing.T) {
	many := func(n int) map[string]any {
		object := parse(t, "spec: {}")
		subscribers := make([]any, n)
		for i := range subscribers {
			subscribers[i] = map[string]any{
				"uid": "1", "subscriberUri": "http://subscriber.namespace.svc.cluster.local/" + strings.Repeat("x", 50),
				"delivery": map[string]any{
					"deadLetterSink": map[string]any{"uri": "http://dead.namespace.svc.cluster.local/"},
					"retry":          int64(math.MaxInt32), "backoffDelay": "PT0.2S", "timeout": "PT30S",
				},
			}
		}
		object["spec"].(map[string]any)["subscribers"] = subscribers
		return object
	}
	if errs := server().admit(many(v1alpha1.MaxSubscribers)); len(errs) > 0 {
		t.Error(errs[0])
	}
	if errs := server().admit(many(v1alpha1.MaxSubscribers + 1)); len(errs) == 0 {
		t.Error("there is one too many")
	}
}
