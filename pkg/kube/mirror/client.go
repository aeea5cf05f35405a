package mirror

import (
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
)

// API is how to reach an API server.
type API struct {
	Config *rest.Config
	// HTTP is shared by the clients of all kinds, and thereby its connection.
	HTTP *http.Client
}

// NewAPI returns the API of a configuration. The error tells of credentials or
// certificates that cannot be read.
func NewAPI(config *rest.Config) (API, error) {
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		return API{}, fmt.Errorf("a client of the API server %s: %w", config.Host, err)
	}
	return API{Config: config, HTTP: h}, nil
}

// Resource is one kind of objects of type T with lists of type L, such as
// "brokers".
type Resource[T Object, L runtime.Object] struct {
	Group schema.GroupVersion
	Name  string
	// Namespace restricts the objects, empty for all.
	Namespace string
	New       func() T
	NewList   func() L
}

// NewClient returns a Client of one kind. Unlike a generated clientset it knows
// no other kinds, and depends on nothing that those need.
func NewClient[T Object, L runtime.Object](api API, r Resource[T, L]) (Client[L], error) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(r.Group, r.New(), r.NewList())
	metav1.AddToGroupVersion(scheme, r.Group)
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // Status
	config := rest.CopyConfig(api.Config)
	config.GroupVersion = &r.Group
	config.APIPath = "/apis"
	if r.Group.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = rest.CodecFactoryForGeneratedClient(scheme, serializer.NewCodecFactory(scheme)).WithoutConversion()
	client, err := rest.RESTClientForConfigAndClient(config, api.HTTP)
	if err != nil {
		return nil, fmt.Errorf("a client of %s at %s: %w", r.Name, config.Host, err)
	}
	return gentype.NewClientWithList(r.Name, client, runtime.NewParameterCodec(scheme), r.Namespace, r.New, r.NewList), nil
}
