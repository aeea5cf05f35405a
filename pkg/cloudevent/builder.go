package cloudevent

import "slices"

// builder collects what was read into an Event that follows the rules.
type builder struct {
	ev          Event
	specVersion string
	size        int
}

// add checks and takes one attribute. name is in lower case.
func (b *builder) add(name string, v Value) error {
	if !validName(name) {
		return invalid("the attribute name %s must consist of 1 to %d lower-case letters and digits, and not be \"data\"", shown(name), MaxNameLength)
	}
	if wellKnown(name) && v.Kind != String {
		return invalid("the attribute %q must be a string", name)
	}
	if blank(v.S) && optional(name) {
		return nil
	}
	if err := checkValue(name, v); err != nil {
		return err
	}
	if b.size += len(name) + len(v.S); b.size > MaxAttributesSize {
		return invalid("the attributes are larger than %d bytes together", MaxAttributesSize)
	}
	switch name {
	case attrID:
		return b.once(&b.ev.id, name, v.S)
	case attrSource:
		return b.once(&b.ev.source, name, v.S)
	case attrType:
		return b.once(&b.ev.typ, name, v.S)
	case attrSpecVersion:
		return b.once(&b.specVersion, name, v.S)
	}
	at, found := search(b.ev.attrs, name)
	if found {
		return twice(name)
	}
	if len(b.ev.attrs)+4 >= MaxAttributes {
		return invalid("the event has more than %d attributes", MaxAttributes)
	}
	b.ev.attrs = slices.Insert(b.ev.attrs, at, attribute{name, v})
	return nil
}

func (b *builder) once(field *string, name, value string) error {
	if *field != "" {
		return twice(name)
	}
	*field = value
	return nil
}

func twice(name string) error {
	return invalid("the attribute %s is given more than once", shown(name))
}

// event returns the Event if nothing required is missing.
func (b *builder) event() (Event, error) {
	if err := checkSpecVersion(b.specVersion); err != nil {
		return Event{}, err
	}
	for _, f := range [...]struct{ name, value string }{
		{attrID, b.ev.id}, {attrSource, b.ev.source}, {attrType, b.ev.typ},
	} {
		if f.value == "" {
			return Event{}, invalid("the required attribute %q is missing", f.name)
		}
	}
	b.ev.old = b.specVersion == SpecVersion03
	return b.ev, nil
}

func checkSpecVersion(v string) error {
	switch v {
	case SpecVersion, SpecVersion03:
		return nil
	case "":
		return invalid("the required attribute \"specversion\" is missing")
	}
	return invalid("the specversion %s is not supported, only \"1.0\" and \"0.3\" are", shown(v))
}
