package dataplane

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/network"
	"knative.dev/pkg/system"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// IngressHost is the host name of the one Service that takes events for all
// streams.
func IngressHost() string { return network.GetServiceHostname(ingressService, system.Namespace()) }

// Address is where the data plane takes events for a stream, whatever other
// names it has.
func Address(name routing.StreamName) *apis.URL {
	url := apis.HTTP(IngressHost())
	url.Path = name.Path()
	return url
}

// BuildOptions are those by which the data plane builds its table in this
// cluster, as far as a route's fingerprint depends on them. The features are
// those of ctx.
func BuildOptions(ctx context.Context) build.Options {
	return build.Options{
		ClusterDomain:  network.GetClusterDomainName(),
		CrossNamespace: feature.FromContext(ctx).IsCrossNamespaceEventLinks(),
	}
}

// RouteObject is the object that a route was made of: its kind as in a route's
// ID, trigger or subscription, and its name.
func RouteObject(id string) (kind string, key types.NamespacedName, ok bool) {
	parts := strings.Split(id, "/")
	if len(parts) < 3 || parts[1] == "" || parts[2] == "" {
		return "", types.NamespacedName{}, false
	}
	return parts[0], types.NamespacedName{Namespace: parts[1], Name: parts[2]}, true
}
