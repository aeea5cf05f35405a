package filesource

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	messagingv1 "knative.dev/eventing/pkg/apis/messaging/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// resolver turns references into addresses, for which a cluster has its
// services and controllers.
type resolver struct {
	base     *apis.URL
	services map[key]*corev1.Service
	// streams are the addressable objects by what a reference calls them.
	streams map[key]routing.StreamName
}

func newResolver(base *apis.URL, w world) *resolver {
	r := &resolver{base: base, services: make(map[key]*corev1.Service), streams: make(map[key]routing.StreamName)}
	for _, o := range w.objects {
		channel := routing.StreamName{Kind: routing.Channel, Namespace: o.key.namespace, Name: o.key.name}
		switch obj := o.obj.(type) {
		case *corev1.Service:
			r.services[o.key] = obj
		case *eventingv1.Broker:
			if obj.Annotations[eventing.BrokerClassKey] == build.BrokerClass {
				r.streams[o.key] = routing.StreamName{Kind: routing.Broker, Namespace: o.key.namespace, Name: o.key.name}
			}
		case *messagingv1.Channel:
			r.streams[o.key] = channel
			// The LeatChannel that backs it has the same name.
			r.streams[key{kindLeatChannel, o.key.namespace, o.key.name}] = channel
		default:
			if o.key.kind == kindLeatChannel {
				r.streams[o.key] = channel
			}
		}
	}
	return r
}

// resolve is where a destination of an object in namespace leads to. A URI
// beside a ref is relative to the ref's address (control-plane spec,
// Destination).
func (r *resolver) resolve(d *duckv1.Destination, namespace string) (*duckv1.Addressable, error) {
	addr := &duckv1.Addressable{URL: d.URI, CACerts: d.CACerts, Audience: d.Audience}
	if d.Ref == nil {
		if d.URI.IsEmpty() {
			return nil, errors.New("it has neither ref nor uri")
		}
		return addr, nil
	}
	base, err := r.ref(d.Ref, namespace, ptr.Deref(d.CACerts, "") != "")
	if err != nil {
		return nil, err
	}
	addr.URL = base.ResolveReference(d.URI)
	return addr, nil
}

func (r *resolver) ref(ref *duckv1.KReference, namespace string, tls bool) (*apis.URL, error) {
	k := key{ref.Kind, ref.Namespace, ref.Name}
	if k.namespace == "" {
		k.namespace = namespace
	}
	if _, known := kinds[typeName{ref.APIVersion, ref.Kind}]; !known || k.kind == kindTrigger || k.kind == kindSubscription {
		return nil, fmt.Errorf("%s of %s has no address without a cluster: a ref can name a Service, Broker, Channel or LeatChannel",
			k, ref.APIVersion)
	}
	if k.kind == kindService {
		if s := r.services[k]; s != nil {
			return serviceURL(s, tls), nil
		}
	} else if stream, ok := r.streams[k]; ok {
		return r.base.ResolveReference(&apis.URL{Path: stream.Path()}), nil
	}
	return nil, fmt.Errorf("there is no %s in the manifests", k)
}

// serviceURL is the external name with the first port, without a port if there
// is none. It is https if that port is called https or https-..., has that
// appProtocol or the number 443, or if CA certificates are given for it.
func serviceURL(s *corev1.Service, tls bool) *apis.URL {
	u := &apis.URL{Scheme: "http", Host: strings.TrimSuffix(s.Spec.ExternalName, ".")}
	if tls {
		u.Scheme = "https"
	}
	if len(s.Spec.Ports) == 0 {
		return u
	}
	port := &s.Spec.Ports[0]
	if port.Port == 443 || port.Name == "https" || strings.HasPrefix(port.Name, "https-") || ptr.Deref(port.AppProtocol, "") == "https" {
		u.Scheme = "https"
	}
	if usual := map[string]int32{"http": 80, "https": 443}; port.Port != usual[u.Scheme] {
		u.Host = net.JoinHostPort(u.Host, strconv.Itoa(int(port.Port)))
	}
	return u
}
