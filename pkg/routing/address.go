package routing

import "strings"

// channelsSegment is the first segment of the paths under which channels are
// reached, so that a Broker and a channel of one name do not collide.
const channelsSegment = "channels"

// Path is the path under which the data plane takes events for the stream:
// /{namespace}/{broker} or /channels/{namespace}/{channel}.
func (n StreamName) Path() string {
	p := "/" + n.Namespace + "/" + n.Name
	if n.Kind == Channel {
		return "/" + channelsSegment + p
	}
	return p
}

// ParsePath is the inverse of Path. A slash at the end is ignored, as upstream's
// ingress does.
func ParsePath(path string) (StreamName, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), "/")
	if !ok {
		return StreamName{}, false
	}
	segments := strings.Split(rest, "/")
	kind := Broker
	if len(segments) == 3 && segments[0] == channelsSegment {
		kind, segments = Channel, segments[1:]
	}
	if len(segments) != 2 || segments[0] == "" || segments[1] == "" {
		return StreamName{}, false
	}
	return StreamName{Kind: kind, Namespace: segments[0], Name: segments[1]}, true
}
