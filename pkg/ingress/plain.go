package ingress

import (
	"bytes"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"leat.dev/leat/pkg/cloudevent"
)

// plainRequest is a request of the kind that a Front serves:
//
//   - POST over HTTP/1.1 to a path of unreserved characters, without a query;
//   - every header once, with a value of printable ASCII;
//   - a Host, and a Content-Length if there is a body;
//   - nothing that changes how the message is framed, or the connection used
//     afterwards: no Transfer-Encoding, Expect, Upgrade, Trailer, TE, and no
//     Connection but keep-alive.
//
// Whoever reads it and net/http read the same in it. All else is not for the
// Front to understand.
type plainRequest struct {
	path, host string
	length     int64
	fields     []cloudevent.Field
}

// maxFields is how many headers a plain request has at most.
const maxFields = 32

const (
	plainMethod = "POST "
	plainBegin  = plainMethod + "/"
	plainProto  = " HTTP/1.1"
)

// parse reads a header, from its first line to its last without the empty one,
// and says whether the request is plain. What it keeps is part of header.
func (r *plainRequest) parse(header string) bool {
	*r = plainRequest{fields: r.fields[:0]}
	line, rest, _ := strings.Cut(header, "\r\n")
	path, ok := strings.CutPrefix(line, plainMethod)
	if !ok {
		return false
	}
	if r.path, ok = strings.CutSuffix(path, plainProto); !ok || !plainPath(r.path) {
		return false
	}
	for rest != "" {
		if line, rest, _ = strings.Cut(rest, "\r\n"); !r.field(line) {
			return false
		}
	}
	return r.host != ""
}

// beginsPlain tells whether a header that is not yet whole may become that of a
// plain request. A line that ends in LF alone ends nothing for plainRequest, but
// may end the header for net/http.
func beginsPlain(text []byte) bool {
	n := min(len(text), len(plainBegin))
	return string(text[:n]) == plainBegin[:n] && bytes.Count(text, []byte("\n")) == bytes.Count(text, []byte("\r\n"))
}

// plainPath tells whether a path means the same however it is read.
func plainPath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.', c == '/':
			if path[i-1] == '/' { // a dot segment, or an empty one
				return false
			}
		default:
			return false
		}
	}
	return true
}

// field takes one line of a header.
func (r *plainRequest) field(line string) bool {
	name, value, ok := strings.Cut(line, ":")
	if !ok || len(r.fields) == maxFields || !httpguts.ValidHeaderFieldName(name) {
		return false
	}
	if value = strings.Trim(value, " \t"); !plainValue(value) {
		return false
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	for i := range r.fields {
		if r.fields[i].Name == name {
			return false
		}
	}
	r.fields = append(r.fields, cloudevent.Field{Name: name, Value: value})
	switch name {
	case "Host":
		r.host = value
		return httpguts.ValidHostHeader(value)
	case "Content-Length":
		return r.setLength(value)
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Expect", "Upgrade", "Trailer", "Te", "Http2-Settings":
		return false
	}
	return true
}

func plainValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// setLength takes a Content-Length of digits.
func (r *plainRequest) setLength(value string) bool {
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return false
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	r.length = n
	return err == nil
}
