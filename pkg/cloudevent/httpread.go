package cloudevent

import (
	"net/http"
	"strings"
)

// Media types of the JSON formats.
const (
	ContentTypeJSON  = "application/cloudevents+json"
	ContentTypeBatch = "application/cloudevents-batch+json"

	contentTypePrefix = "application/cloudevents"
)

// FromHTTP reads the events of an HTTP message: one in binary mode, one in
// structured mode, any number (also none) in batched mode. The error is an
// *InvalidError. The data of the events is part of body, which must not be
// changed as long as they are in use; all the rest of them is not.
func FromHTTP(h http.Header, body []byte) ([]Event, error) {
	format, err := structuredFormat(h)
	if err != nil {
		return nil, err
	}
	headers, err := passThrough(h)
	if err != nil {
		return nil, err
	}
	if format == ContentTypeBatch {
		events, err := fromBatch(body)
		for i := range events {
			events[i].headers = headers
		}
		return events, err
	}
	read := fromBinary
	if format == ContentTypeJSON {
		read = fromStructured
	}
	ev, err := read(h, body)
	if err != nil {
		return nil, err
	}
	ev.headers = headers
	return []Event{ev}, nil
}

// Field is a header of an HTTP message; Name is in canonical form.
type Field struct{ Name, Value string }

// FromFields is FromHTTP for headers that are not in a map, in which no name comes
// twice. The strings of the events are parts of the fields'.
func FromFields(fields []Field, body []byte) ([]Event, error) {
	specVersion, attributes := "", false
	for i := range fields {
		switch f := &fields[i]; {
		case f.Name == "Content-Type" && hasPrefixFold(f.Value, contentTypePrefix):
			return FromHTTP(headerOf(fields), body)
		case f.Name == "Ce-Specversion":
			specVersion, attributes = f.Value, true
		case isAttributeHeader(f.Name):
			attributes = true
		}
	}
	if !attributes {
		return nil, errNoEvent()
	}
	if err := checkSpecVersion(specVersion); err != nil {
		return nil, err
	}
	b := newBuilder(len(fields))
	for i := range fields {
		f := &fields[i]
		var err error
		if name, ok := attributeName(f.Name); ok {
			err = b.attribute(name, f.Name, f.Value)
		} else if PassThrough(f.Name) {
			err = b.pass(f.Name, f.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	b.ev.data = body
	ev, err := b.event()
	if err != nil {
		return nil, err
	}
	return []Event{ev}, nil
}

func headerOf(fields []Field) http.Header {
	h := make(http.Header, len(fields))
	for _, f := range fields {
		h[f.Name] = append(h[f.Name], f.Value)
	}
	return h
}

// ReplyFromHTTP reads the event of a subscriber's response. Nil and no error
// means that there is none: no body and no ce- header. A response that is
// neither empty nor one CloudEvent is an *InvalidError.
func ReplyFromHTTP(h http.Header, body []byte) (*Event, error) {
	if len(body) == 0 && !hasAttributeHeader(h) {
		return nil, nil
	}
	format, err := structuredFormat(h)
	if err != nil {
		return nil, err
	}
	if format == ContentTypeBatch {
		return nil, invalid("a reply must be one event, not a batch")
	}
	events, err := FromHTTP(h, body)
	if err != nil {
		return nil, err
	}
	return &events[0], nil
}

// structuredFormat returns the media type of structured and batched mode, and
// "" for binary mode (HTTP binding, section 3).
func structuredFormat(h http.Header) (string, error) {
	values := h["Content-Type"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", invalid("the header Content-Type is given more than once")
	}
	if !hasPrefixFold(values[0], contentTypePrefix) {
		return "", nil
	}
	base, _, _ := strings.Cut(values[0], ";")
	switch base = strings.TrimSpace(base); {
	case strings.EqualFold(base, ContentTypeJSON):
		return ContentTypeJSON, nil
	case strings.EqualFold(base, ContentTypeBatch):
		return ContentTypeBatch, nil
	}
	return "", invalid("the event format %s is not supported, only %q and %q are", shown(base), ContentTypeJSON, ContentTypeBatch)
}

func fromBinary(h http.Header, body []byte) (Event, error) {
	if len(h["Ce-Specversion"]) == 0 && !hasAttributeHeader(h) {
		return Event{}, errNoEvent()
	}
	// Said first, as it explains whatever else may be wrong.
	if err := checkSpecVersion(h.Get("Ce-Specversion")); err != nil {
		return Event{}, err
	}
	b := newBuilder(len(h))
	for key, values := range h {
		name, ok := attributeName(key)
		if !ok {
			continue
		}
		if len(values) != 1 {
			return Event{}, twice(name)
		}
		if err := b.attribute(name, key, values[0]); err != nil {
			return Event{}, err
		}
	}
	b.ev.data = body
	return b.event()
}

func errNoEvent() error {
	return invalid("the message is not a CloudEvent: it has neither ce- headers nor the content type %q", ContentTypeJSON)
}

// newBuilder returns a builder for the event of a message with so many headers.
func newBuilder(headers int) (b builder) {
	b.ev.attrs = make([]attribute, 0, min(max(headers-3, 4), MaxAttributes))
	return b
}

// attribute takes the attribute of a header in canonical form.
func (b *builder) attribute(name, key, value string) error {
	if name == attrDataContentType && key != "Content-Type" {
		return invalid("the attribute \"datacontenttype\" belongs into the header Content-Type")
	}
	value, err := decodeHeaderValue(name, value)
	if err != nil {
		return err
	}
	return b.add(name, Value{String, value})
}

// attributeName returns the attribute that a header in canonical form stands
// for. The names that nearly every event has cost no allocation.
func attributeName(key string) (name string, ok bool) {
	switch key {
	case "Content-Type":
		return attrDataContentType, true
	case "Ce-Id":
		return attrID, true
	case "Ce-Source":
		return attrSource, true
	case "Ce-Specversion":
		return attrSpecVersion, true
	case "Ce-Type":
		return attrType, true
	case "Ce-Time":
		return attrTime, true
	case "Ce-Subject":
		return attrSubject, true
	case "Ce-Knativebrokerttl":
		return "knativebrokerttl", true
	case "Ce-Knativearrivaltime":
		return "knativearrivaltime", true
	}
	if !isAttributeHeader(key) {
		return "", false
	}
	return strings.ToLower(key[len("ce-"):]), true
}

func isAttributeHeader(key string) bool { return hasPrefixFold(key, "ce-") }

func hasAttributeHeader(h http.Header) bool {
	for key := range h {
		if isAttributeHeader(key) {
			return true
		}
	}
	return false
}

// PassThrough tells whether a header in canonical form goes with the event
// from the sender to the subscribers: x-request-id, knative-*, x-b3-* and the
// W3C trace context, as Knative does it.
func PassThrough(key string) bool {
	switch key {
	case "X-Request-Id", "Traceparent", "Tracestate":
		return true
	}
	return strings.HasPrefix(key, "Knative-") || strings.HasPrefix(key, "X-B3-")
}

func passThrough(h http.Header) ([]header, error) {
	var b builder
	for key, values := range h {
		if !PassThrough(key) {
			continue
		}
		for _, v := range values {
			if err := b.pass(key, v); err != nil {
				return nil, err
			}
		}
	}
	return b.ev.headers, nil
}

// pass takes a header that goes with the event.
func (b *builder) pass(key, value string) error {
	if len(b.ev.headers) == MaxHeaders {
		return invalid("the message has more than %d headers to pass on", MaxHeaders)
	}
	if len(value) > MaxHeaderSize {
		return invalid("the header %s is longer than %d bytes", shown(key), MaxHeaderSize)
	}
	b.ev.headers = append(b.ev.headers, header{key, value})
	return nil
}
