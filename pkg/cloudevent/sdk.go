package cloudevent

import (
	"fmt"
	"strconv"
	"time"

	sdkevent "github.com/cloudevents/sdk-go/v2/event"
)

// SDK returns the event as the CloudEvents SDK knows it, for CESQL and tests.
// The error says what the SDK does not accept.
func (e *Event) SDK() (*sdkevent.Event, error) {
	ev := sdkevent.New(e.specVersion())
	ev.SetID(e.id)
	ev.SetSource(e.source)
	ev.SetType(e.typ)
	for _, a := range e.attrs {
		if err := setSDK(&ev, a); err != nil {
			return nil, fmt.Errorf("attribute %q: %w", a.name, err)
		}
	}
	if len(e.data) > 0 {
		ev.DataEncoded = e.data
	}
	if err := ev.Validate(); err != nil {
		return nil, err
	}
	return &ev, nil
}

func setSDK(ev *sdkevent.Event, a attribute) error {
	switch a.name {
	case attrDataContentType:
		return ev.Context.SetDataContentType(a.S)
	case attrDataSchema, attrSchemaURL:
		return ev.Context.SetDataSchema(a.S)
	case attrSubject:
		return ev.Context.SetSubject(a.S)
	case attrTime:
		t, err := time.Parse(time.RFC3339, a.S)
		if err != nil {
			return err
		}
		return ev.Context.SetTime(t)
	}
	switch a.Kind {
	case Integer:
		v, err := strconv.ParseInt(a.S, 10, 32)
		if err != nil {
			return err
		}
		return ev.Context.SetExtension(a.name, int32(v))
	case Boolean:
		return ev.Context.SetExtension(a.name, a.S == "true")
	}
	return ev.Context.SetExtension(a.name, a.S)
}
