package cloudevent

import "net/http"

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
	key := make([]byte, 0, 64)
	key = append(key, "Ce-"...)
	key = append(key, name...)
	if len(name) > 0 && name[0] >= 'a' && name[0] <= 'z' {
		key[len("Ce-")] -= 'a' - 'A'
	}
	return string(key)
}
