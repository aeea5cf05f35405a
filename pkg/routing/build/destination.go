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
// there. A scheme that is not HTTP's is let through: as with Knative's own
// broker, deliveries to it fail, and what is to become of those is the object's
// to say.
func destination(uri *apis.URL, caCerts, audience *string) (dest *routing.Destination, missing string) {
	if uri.IsEmpty() {
		return nil, notResolved
	}
	u := uri.URL()
	if strings.Contains(u.Opaque, "@") { // user:password@host, in which Redacted sees no password
		return nil, "its URI must be absolute, with http or https and a host"
	}
	if u.Scheme == "" || u.Host == "" {
		return nil, "its URI is " + quote(u.Redacted()) + ", but must be absolute, with http or https and a host"
	}
	return &routing.Destination{
		URL: u.String(), CACerts: ptr.Deref(caCerts, ""), Audience: ptr.Deref(audience, ""),
	}, ""
}

// unreachable is why no delivery to a destination can succeed, empty if one can.
func unreachable(dest *routing.Destination) string {
	if dest == nil || strings.HasPrefix(dest.URL, "http://") || strings.HasPrefix(dest.URL, "https://") {
		return ""
	}
	u, err := url.Parse(dest.URL)
	if err != nil {
		panic("BUG: a destination is a URL: " + err.Error())
	}
	return "every delivery to " + quote(u.Redacted()) + " fails: only http and https are known"
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
