package build

import (
	"net/url"
	"strings"

	"k8s.io/utils/ptr"
	"knative.dev/pkg/apis"

	"leat.dev/leat/pkg/routing"
)

// notResolved is why there is no destination where nobody says more.
const notResolved = "its URI is not resolved yet"

// destination is where a resolved URI leads to, or why nothing can be sent
// there.
func destination(uri *apis.URL, caCerts, audience *string) (dest *routing.Destination, missing string) {
	if uri.IsEmpty() {
		return nil, notResolved
	}
	u := uri.URL()
	if strings.Contains(u.Opaque, "@") { // user:password@host, in which Redacted sees no password
		return nil, "its URI must be absolute, with http or https and a host"
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, "its URI is " + quote(u.Redacted()) + ", but must be absolute, with http or https and a host"
	}
	return &routing.Destination{
		URL: u.String(), CACerts: ptr.Deref(caCerts, ""), Audience: ptr.Deref(audience, ""),
	}, ""
}

// Addresses recognises the addresses that base and routing.StreamName.Path
// form, for Options. base is an absolute URL without a path, such as
// http://127.0.0.1:8080.
func Addresses(base string) func(string) (routing.StreamName, bool) {
	own, err := url.Parse(base)
	return func(address string) (routing.StreamName, bool) {
		u, parseErr := url.Parse(address)
		if err != nil || parseErr != nil || u.Scheme != own.Scheme || u.Host != own.Host {
			return routing.StreamName{}, false
		}
		if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return routing.StreamName{}, false
		}
		return routing.ParsePath(u.Path)
	}
}
