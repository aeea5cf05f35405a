package cloudevent

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errNotUTF8  = &InvalidError{Reason: "the body is not UTF-8"}
	errNotJSON  = &InvalidError{Reason: "the body is not valid JSON, or is nested too deeply"}
	errNoObject = &InvalidError{Reason: "a structured event must be a JSON object"}
	errNoArray  = &InvalidError{Reason: "a batch must be a JSON array of events"}
)

func fromStructured(_ http.Header, body []byte) (Event, error) {
	if !utf8.Valid(body) {
		return Event{}, errNotUTF8
	}
	s := scanner{b: body}
	ev, err := eventFromJSON(&s)
	if err == nil && !s.end() {
		err = errNotJSON
	}
	return ev, err
}

func fromBatch(body []byte) ([]Event, error) {
	if !utf8.Valid(body) {
		return nil, errNotUTF8
	}
	s := scanner{b: body}
	if s.peek() != '[' {
		return nil, errNoArray
	}
	events := []Event{}
	var err error
	ok := s.list('[', ']', func() bool {
		if len(events) == MaxBatch {
			err = invalid("the batch has more than %d events", MaxBatch)
			return false
		}
		var ev Event
		if ev, err = eventFromJSON(&s); err != nil {
			err = invalid("event %d of the batch: %s", len(events)+1, err.Error())
			return false
		}
		events = append(events, ev)
		return true
	})
	switch {
	case err != nil:
		return nil, err
	case !ok || !s.end():
		return nil, errNotJSON
	}
	return events, nil
}

// jsonEvent is an object of the JSON format while it is read.
type jsonEvent struct {
	builder
	// data and base64 are the raw values of the members data and data_base64,
	// nil if there are none.
	data, base64 []byte
}

func eventFromJSON(s *scanner) (Event, error) {
	if s.peek() != '{' {
		return Event{}, errNoObject
	}
	var e jsonEvent
	var err error
	ok := s.list('{', '}', func() bool {
		if s.peek() != '"' {
			return false
		}
		quoted, ok := s.string()
		if !ok || !s.take(':') {
			return false
		}
		s.space()
		start := s.i
		if !s.value(1) {
			return false
		}
		err = e.member(quoted, s.b[start:s.i:s.i])
		return err == nil
	})
	if err != nil {
		return Event{}, err
	}
	if !ok {
		return Event{}, errNotJSON
	}
	if err := e.resolveData(); err != nil {
		return Event{}, err
	}
	return e.event()
}

// member takes one member of the object: its quoted name and raw value.
func (e *jsonEvent) member(quoted, raw []byte) error {
	content, ok := unquoteJSON(quoted)
	if !ok {
		return errNotUTF8
	}
	switch string(content) {
	case "data":
		return rawOnce(&e.data, "data", raw)
	case "data_base64":
		return rawOnce(&e.base64, "data_base64", raw)
	}
	name := internName(content)
	v := Value{Kind: String}
	switch raw[0] {
	case 'n':
		return nil // null: as if it were not there
	case '{', '[':
		return invalid("the attribute %s must be a string, an integer or a boolean, not an object or array", shown(name))
	case '"':
		text, ok := unquoteJSON(raw)
		if !ok {
			return invalid("the value of the attribute %s has half a surrogate pair", shown(name))
		}
		v.S = string(text)
	case 't', 'f':
		v = Value{Boolean, strconv.FormatBool(raw[0] == 't')}
	default:
		n, err := strconv.ParseInt(string(raw), 10, 32)
		if err != nil {
			return invalid("the attribute %s must be an integer from %d to %d", shown(name), -1<<31, 1<<31-1)
		}
		v = Value{Integer, strconv.FormatInt(n, 10)}
	}
	return e.add(name, v)
}

func rawOnce(field *[]byte, name string, raw []byte) error {
	if *field != nil {
		return invalid("the member %q is given more than once", name)
	}
	*field = raw
	return nil
}

// internName is string(b) without an allocation for frequent names.
func internName(b []byte) string {
	switch string(b) {
	case attrID:
		return attrID
	case attrSource:
		return attrSource
	case attrType:
		return attrType
	case attrSpecVersion:
		return attrSpecVersion
	case attrDataContentType:
		return attrDataContentType
	case attrSubject:
		return attrSubject
	case attrTime:
		return attrTime
	}
	return string(b)
}

// resolveData turns the members data and data_base64 into what the body of
// binary mode would be (json-format.md, section 3.1.2).
func (e *jsonEvent) resolveData() error {
	if string(e.base64) == "null" {
		e.base64 = nil
	}
	e.take03()
	switch {
	case e.data != nil && e.base64 != nil:
		return invalid("an event must not have both \"data\" and \"data_base64\"")
	case e.base64 != nil:
		return e.decodeBase64()
	case e.data == nil:
		return nil
	}
	contentType, ok := e.ev.Get(attrDataContentType)
	switch {
	case !ok:
		e.ev.data = e.data
		return e.add(attrDataContentType, Value{String, "application/json"})
	case isJSON(contentType):
		e.ev.data = e.data
	case e.data[0] == '"':
		text, ok := unquoteJSON(e.data)
		if !ok {
			return invalid("the data has half a surrogate pair")
		}
		e.ev.data = text
	case e.data[0] != 'n':
		e.ev.data = e.data
	}
	return nil
}

// take03 makes of the Base64 of version 0.3 what it is in version 1.0.
func (e *jsonEvent) take03() {
	encoding, ok := e.ev.Get(attrDataContentEncoding)
	if e.specVersion == SpecVersion03 && ok && strings.EqualFold(encoding, "base64") && e.base64 == nil {
		e.base64, e.data = e.data, nil
		e.ev.Delete(attrDataContentEncoding)
	}
}

func (e *jsonEvent) decodeBase64() error {
	if e.base64[0] != '"' {
		return invalid("data in Base64 must be a string")
	}
	text, ok := unquoteJSON(e.base64)
	if !ok {
		return errNotUTF8
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if err != nil {
		return invalid("the data is not Base64")
	}
	e.ev.data = data[:n]
	return nil
}
