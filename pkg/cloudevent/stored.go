package cloudevent

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"unsafe"
)

// The stored form. Its version is 1 for events of CloudEvents 1.0, and 2 for
// those of 0.3. Strings and numbers are packed back to back; a
// number is an unsigned varint of encoding/binary.
//
//	+---------+----+--------+------+---+--------------------+---+----------------+------+
//	| version | id | source | type | n | n attributes       | m | m headers      | data |
//	| 1 byte  | s  | s      | s    |   | kind 1 byte, s, s  |   | s, s           |      |
//	+---------+----+--------+------+---+--------------------+---+----------------+------+
//	                                     kind, name, value        name, value     to the end
//	s: length, bytes
//
// There is no checksum: the log below has one.
const (
	storedVersion   = 1
	storedVersion03 = 2
)

// Errors of Decode. Either means that the record was not written by this
// version, or is damaged.
var (
	ErrStoredVersion = errors.New("the stored event has a version that this program does not know")
	ErrStoredForm    = errors.New("the stored event is damaged")
)

// Attr is an attribute and its value.
type Attr struct {
	Name string
	Value
}

// AppendStored appends the stored form to dst, with the attributes of set as if
// they were set before. They are optional ones, sorted by name.
func (e *Event) AppendStored(dst []byte, set ...Attr) []byte {
	dst = slices.Grow(dst, e.StoredSize(set...))
	dst = append(dst, e.storedVersion())
	dst = appendString(dst, e.id)
	dst = appendString(dst, e.source)
	dst = appendString(dst, e.typ)
	dst = e.appendAttributes(dst, set)
	dst = binary.AppendUvarint(dst, uint64(len(e.headers)))
	for _, h := range e.headers {
		dst = appendString(dst, h.name)
		dst = appendString(dst, h.value)
	}
	return append(dst, e.data...)
}

// appendAttributes appends the event's attributes and those that are set, merged
// by name.
func (e *Event) appendAttributes(dst []byte, set []Attr) []byte {
	n := len(e.attrs) + len(set)
	for i := range set {
		if _, found := search(e.attrs, set[i].Name); found {
			n--
		}
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	rest := e.attrs
	for i := range set {
		for len(rest) > 0 && rest[0].name < set[i].Name {
			dst = appendAttribute(dst, rest[0].name, rest[0].Value)
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].name == set[i].Name {
			rest = rest[1:]
		}
		dst = appendAttribute(dst, set[i].Name, set[i].Value)
	}
	for i := range rest {
		dst = appendAttribute(dst, rest[i].name, rest[i].Value)
	}
	return dst
}

func appendAttribute(dst []byte, name string, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	dst = appendString(dst, name)
	return appendString(dst, v.S)
}

func (e *Event) storedVersion() byte {
	if e.old {
		return storedVersion03
	}
	return storedVersion
}

// StoredSize is never smaller than what AppendStored appends for an event with
// strings below 2 MiB, whose lengths take up to 3 bytes.
func (e *Event) StoredSize(set ...Attr) int {
	const length = 3
	n := 1 + len(e.id) + len(e.source) + len(e.typ) + 5*length + len(e.data)
	for i := range e.attrs {
		n += 1 + len(e.attrs[i].name) + len(e.attrs[i].S) + 2*length
	}
	for i := range set {
		n += 1 + len(set[i].Name) + len(set[i].S) + 2*length
	}
	for _, h := range e.headers {
		n += len(h.name) + len(h.value) + 2*length
	}
	return n
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// Decode reads the stored form. The Event is made of parts of stored, which
// nobody may change any more. Decode checks the form, not the rules of
// CloudEvents, and uses memory in proportion to len(stored) at most.
func Decode(stored []byte) (Event, error) {
	if len(stored) == 0 {
		return Event{}, ErrStoredForm
	}
	if stored[0] != storedVersion && stored[0] != storedVersion03 {
		return Event{}, ErrStoredVersion
	}
	r := reader{rest: stored[1:]}
	e := Event{old: stored[0] == storedVersion03, id: r.string(), source: r.string(), typ: r.string()}
	// An attribute takes 3 bytes or more, a header 2.
	if n := r.count(3); n > 0 {
		e.attrs = make([]attribute, n)
		for i := range e.attrs {
			e.attrs[i] = attribute{Value: Value{Kind: r.kind()}, name: r.string()}
			e.attrs[i].S = r.string()
			r.check(e.attrs[i].Value)
		}
	}
	if n := r.count(2); n > 0 {
		e.headers = make([]header, n)
		for i := range e.headers {
			e.headers[i] = header{name: r.string(), value: r.string()}
		}
	}
	if r.bad {
		return Event{}, ErrStoredForm
	}
	e.data = r.rest
	return e, nil
}

// reader takes the stored form apart. After the first thing that is not as it
// should be, it is bad and returns zero values.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := unsafe.String(unsafe.SliceData(r.rest), int(n))
	r.rest = r.rest[n:]
	return s
}

// count reads the number of things that take size bytes or more each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) kind() Kind {
	if len(r.rest) == 0 || Kind(r.rest[0]) > Boolean {
		r.fail()
		return String
	}
	k := Kind(r.rest[0])
	r.rest = r.rest[1:]
	return k
}

// check holds a value against its kind: they are written to JSON as they are.
func (r *reader) check(v Value) {
	switch v.Kind {
	case Integer:
		if n, err := strconv.ParseInt(v.S, 10, 32); err != nil || strconv.FormatInt(n, 10) != v.S {
			r.fail()
		}
	case Boolean:
		if v.S != "true" && v.S != "false" {
			r.fail()
		}
	}
}

func (r *reader) fail() {
	r.bad = true
	r.rest = nil
}
