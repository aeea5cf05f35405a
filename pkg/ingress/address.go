package ingress

import (
	"strings"

	"leat.dev/leat/pkg/routing"
)

// address finds the stream that a request means: a channel by the Host header,
// everything else by the path. That there is a stream of this name is certain
// only for a channel found by its host. A query says nothing to us.
//
// Errors are ErrNoStream and errPath.
func (g *Gate) address(path, host string, odd bool) (routing.StreamName, error) {
	root := path == "" || path == "/"
	if name, ok := g.Host(hostName(host)); ok {
		if !root {
			return routing.StreamName{}, errPath
		}
		return name, nil
	}
	if root {
		return routing.StreamName{}, ErrNoStream
	}
	name, ok := routing.ParsePath(path)
	if !ok || odd {
		return routing.StreamName{}, errPath
	}
	return name, nil
}

// hostName takes the port and a dot at the end off a Host header.
func hostName(host string) string {
	if host != "" && host[0] != '[' {
		host, _, _ = strings.Cut(host, ":")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
