package kubesource

import (
	"net/url"
	"strings"

	"leat.dev/leat/pkg/routing"
)

// base is where the data plane itself is reached.
type base struct {
	scheme, port string
	// hosts are the names of its Service, from any namespace.
	hosts map[string]bool
}

func newBase(u *url.URL, domain string) base {
	b := base{scheme: u.Scheme, port: port(u), hosts: map[string]bool{}}
	full := host(u)
	b.hosts[full] = true
	if service, ok := strings.CutSuffix(full, ".svc."+domain); ok {
		b.hosts[service+".svc"], b.hosts[service] = true, true
	}
	return b
}

// localize finds the destinations that lead to a stream of the same table: by
// the path under base, or by the host name of a channel.
func (b base) localize(streams map[routing.StreamName]*routing.Stream) {
	channels := map[string]routing.StreamName{}
	for name, s := range streams {
		for _, h := range s.Hosts {
			channels[h] = name
		}
	}
	for _, s := range streams {
		for _, r := range s.Routes {
			for _, dest := range []*routing.Destination{r.Subscriber, r.Reply, r.Delivery.DeadLetterSink} {
				if dest == nil {
					continue
				}
				if name, ok := b.stream(dest.URL, channels); ok && streams[name] != nil {
					dest.Local = &name
				}
			}
		}
	}
}

// stream is where an address leads to, if that is a Broker or channel here.
func (b base) stream(address string, channels map[string]routing.StreamName) (routing.StreamName, bool) {
	u, err := url.Parse(address)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return routing.StreamName{}, false
	}
	if u.Scheme == b.scheme && port(u) == b.port && b.hosts[host(u)] {
		return routing.ParsePath(u.Path)
	}
	if u.Scheme == "http" && port(u) == "80" && (u.Path == "" || u.Path == "/") {
		name, ok := channels[host(u)]
		return name, ok
	}
	return routing.StreamName{}, false
}

func host(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

// port is a URL's, or the usual one of its scheme.
func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
