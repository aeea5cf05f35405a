package cloudevent

import (
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// WriteBinary adds the event to the headers of a message in binary mode, with
// the headers that go with it, and returns the body.
func (e *Event) WriteBinary(h http.Header) (body []byte) {
	// One array holds the values of all headers.
	values := make([]string, 0, 4+len(e.attrs)+len(e.headers))
	put := func(key, value string) {
		values = append(values, value)
		h[key] = values[len(values)-1 : len(values) : len(values)]
	}
	put("Ce-Specversion", e.specVersion())
	put("Ce-Id", encodeHeaderValue(e.id))
	put("Ce-Source", encodeHeaderValue(e.source))
	put("Ce-Type", encodeHeaderValue(e.typ))
	for i := range e.attrs {
		a := &e.attrs[i]
		if a.name == attrDataContentType {
			put("Content-Type", a.S)
			continue
		}
		put(attributeHeader(a.name), encodeHeaderValue(a.S))
	}
	for _, x := range e.headers {
		if have := h[x.name]; len(have) > 0 {
			h[x.name] = append(have, x.value)
			continue
		}
		put(x.name, x.value)
	}
	return e.data
}

// AppendBinary appends the header of binary mode as lines of HTTP/1.1, with the
// headers that go with the event: what WriteBinary adds to an http.Header. An
// error is of a header that HTTP does not allow.
func (e *Event) AppendBinary(dst []byte) ([]byte, error) {
	dst = appendLine(dst, "Ce-Specversion", e.specVersion())
	dst = appendLine(dst, "Ce-Id", encodeHeaderValue(e.id))
	dst = appendLine(dst, "Ce-Source", encodeHeaderValue(e.source))
	dst = appendLine(dst, "Ce-Type", encodeHeaderValue(e.typ))
	for i := range e.attrs {
		a := &e.attrs[i]
		if a.name == attrDataContentType {
			if !httpguts.ValidHeaderFieldValue(a.S) {
				return dst, badHeader("Content-Type")
			}
			dst = appendLine(dst, "Content-Type", a.S)
			continue
		}
		dst = appendAttributeHeader(dst, a.name)
		dst = append(dst, ": "...)
		dst = append(dst, encodeHeaderValue(a.S)...)
		dst = append(dst, "\r\n"...)
	}
	return e.appendHeaders(dst)
}

// AppendStructured appends the header of structured mode, whose body is that of
// AppendJSON, as AppendBinary does.
func (e *Event) AppendStructured(dst []byte) ([]byte, error) {
	return e.appendHeaders(appendLine(dst, "Content-Type", ContentTypeJSON))
}

func (e *Event) appendHeaders(dst []byte) ([]byte, error) {
	for _, x := range e.headers {
		if !httpguts.ValidHeaderFieldName(x.name) || !httpguts.ValidHeaderFieldValue(x.value) {
			return dst, badHeader(x.name)
		}
		dst = appendLine(dst, x.name, x.value)
	}
	return dst, nil
}

func badHeader(name string) error {
	return invalid("the value of the header %s cannot be sent over HTTP", shown(name))
}

func appendLine(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// attributeHeader returns the canonical form of an attribute's header.
func attributeHeader(name string) string {
	switch name {
	case attrTime:
		return "Ce-Time"
	case attrSubject:
		return "Ce-Subject"
	case attrDataSchema:
		return "Ce-Dataschema"
	case attrPartitionKey:
		return "Ce-Partitionkey"
	case "knativearrivaltime":
		return "Ce-Knativearrivaltime"
	}
	return string(appendAttributeHeader(make([]byte, 0, 64), name))
}

func appendAttributeHeader(dst []byte, name string) []byte {
	dst = append(dst, "Ce-"...)
	first := len(dst)
	dst = append(dst, name...)
	if first < len(dst) && dst[first] >= 'a' && dst[first] <= 'z' {
		dst[first] -= 'a' - 'A'
	}
	return dst
}
