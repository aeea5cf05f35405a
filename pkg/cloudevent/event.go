// Package cloudevent is what an event is to us: read it from HTTP (binary,
// structured, batched), check it, encode it for storage, and write it to HTTP
// again.
//
// Reading, checking and writing events is the hottest code of the data plane,
// and the general form of the CloudEvents SDK costs too much there (see the
// benchmarks), so the narrow form is written by hand. The rules are those of
// CloudEvents 1.0.2: spec.md, bindings/http-protocol-binding.md and
// formats/json-format.md. The SDK is the oracle of the tests.
package cloudevent

import (
	"iter"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// SpecVersion is the version of CloudEvents that events have.
const SpecVersion = "1.0"

// SpecVersion03 is that of 2019, which Knative's channels take as well. An Event
// of it keeps it, on its way through all streams: nothing is converted.
const SpecVersion03 = "0.3"

// The names of the attributes that the specification defines.
const (
	attrID              = "id"
	attrSource          = "source"
	attrType            = "type"
	attrSpecVersion     = "specversion"
	attrDataContentType = "datacontenttype"
	attrDataSchema      = "dataschema"
	attrSubject         = "subject"
	attrTime            = "time"
	attrPartitionKey    = "partitionkey"
	// attrDataContentEncoding is known to version 0.3 alone, as what data_base64
	// is later.
	attrDataContentEncoding = "datacontentencoding"
	// attrSchemaURL is what version 0.3 calls dataschema.
	attrSchemaURL = "schemaurl"
)

// Kind is the type of an attribute's value, as far as JSON tells them apart.
// Binary mode has strings only.
type Kind uint8

// The kinds of values.
const (
	String Kind = iota
	Integer
	Boolean
)

// Value is an attribute's value.
type Value struct {
	Kind Kind
	// S is the canonical string representation (spec.md, Type System), for an
	// Integer a decimal int32, for a Boolean "true" or "false".
	S string
}

// Event is one CloudEvent. It is a value: a copy of it can be changed without
// changing the original. The bytes of Data are shared and nobody changes them.
// An Event may be read by many goroutines at once.
type Event struct {
	id, source, typ string
	// old is set for version 0.3.
	old bool
	// attrs are all others but specversion, sorted by name, each name once. The
	// array is shared by copies of the Event and is never written to again.
	attrs []attribute
	// headers are shared like attrs.
	headers []header
	data    []byte
}

type attribute struct {
	name string
	Value
}

type header struct{ name, value string }

// ID returns the attribute id.
func (e *Event) ID() string { return e.id }

// Source returns the attribute source.
func (e *Event) Source() string { return e.source }

// specVersion returns the attribute specversion.
func (e *Event) specVersion() string {
	if e.old {
		return SpecVersion03
	}
	return SpecVersion
}

// Type returns the attribute type.
func (e *Event) Type() string { return e.typ }

// Key returns what orders the event: events with the same Key are delivered in
// order by an ordered route. It is the attribute partitionkey (extension
// "partitioning") or else the source.
func (e *Event) Key() string {
	if v, ok := e.Get(attrPartitionKey); ok && v != "" {
		return v
	}
	return e.source
}

// Get returns the string representation of any attribute by its name in lower
// case: the required ones, the optional ones and extensions.
func (e *Event) Get(name string) (value string, ok bool) {
	switch name {
	case attrID:
		return e.id, e.id != ""
	case attrSource:
		return e.source, e.source != ""
	case attrType:
		return e.typ, e.typ != ""
	case attrSpecVersion:
		return e.specVersion(), true
	}
	for i := range e.attrs {
		if e.attrs[i].name == name {
			return e.attrs[i].S, true
		}
	}
	return "", false
}

// Set gives an attribute a string value. It panics if the name is not one, or
// is specversion: names are constants of our own code here.
func (e *Event) Set(name, value string) { e.set(name, Value{String, value}) }

// SetInt gives an extension an integer value. It panics like Set.
func (e *Event) SetInt(name string, v int32) {
	e.set(name, Value{Integer, strconv.FormatInt(int64(v), 10)})
}

func (e *Event) set(name string, v Value) {
	switch name {
	case attrID:
		e.id = v.S
		return
	case attrSource:
		e.source = v.S
		return
	case attrType:
		e.typ = v.S
		return
	}
	if name == attrSpecVersion || !validName(name) {
		panic("BUG: " + strconv.Quote(name) + " is no attribute that can be set")
	}
	at, found := search(e.attrs, name)
	rest := e.attrs[at:]
	if found {
		rest = rest[1:]
	}
	attrs := make([]attribute, 0, len(e.attrs)+1)
	attrs = append(attrs, e.attrs[:at]...)
	attrs = append(attrs, attribute{name, v})
	attrs = append(attrs, rest...)
	e.attrs = attrs
}

// Delete takes an attribute away. Required attributes stay.
func (e *Event) Delete(name string) {
	at, found := search(e.attrs, name)
	if !found {
		return
	}
	attrs := make([]attribute, 0, len(e.attrs)-1)
	attrs = append(attrs, e.attrs[:at]...)
	attrs = append(attrs, e.attrs[at+1:]...)
	e.attrs = attrs
}

func search(attrs []attribute, name string) (int, bool) {
	return slices.BinarySearchFunc(attrs, name, func(a attribute, name string) int {
		return strings.Compare(a.name, name)
	})
}

// Attributes yields all attributes: specversion, id, source, type, and then the
// others in the order of their names.
func (e *Event) Attributes() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if !yield(attrSpecVersion, Value{String, e.specVersion()}) ||
			!yield(attrID, Value{String, e.id}) ||
			!yield(attrSource, Value{String, e.source}) ||
			!yield(attrType, Value{String, e.typ}) {
			return
		}
		for _, a := range e.attrs {
			if !yield(a.name, a.Value) {
				return
			}
		}
	}
}

// Data returns the event's data as it goes into the body of binary mode, empty
// if there is none. It must not be changed.
func (e *Event) Data() []byte { return e.data }

// SetData replaces the event's data, which must not be changed afterwards.
func (e *Event) SetData(data []byte) { e.data = data }

// Header yields the transport headers that go with the event (see
// PassThrough), names in canonical form.
func (e *Event) Header() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, h := range e.headers {
			if !yield(h.name, h.value) {
				return
			}
		}
	}
}

// AddHeader adds a transport header that goes with the event.
func (e *Event) AddHeader(name, value string) {
	e.headers = append(slices.Clip(e.headers), header{textproto.CanonicalMIMEHeaderKey(name), value})
}
