package cloudevent

import "fmt"

// Bounds of what is read. The specification asks for at least 64 KiB in all
// (spec.md, Size Limits); these are far above what real events need.
const (
	// MaxAttributes is the number of attributes of one event.
	MaxAttributes = 128
	// MaxNameLength is the length of an attribute's name; the specification
	// advises at most 20.
	MaxNameLength = 128
	// MaxValueSize is the size of an attribute's value in bytes.
	MaxValueSize = 64 << 10
	// MaxAttributesSize is the size of all names and values together in bytes.
	MaxAttributesSize = 256 << 10
	// MaxHeaders is the number of pass-through headers, MaxHeaderSize the size
	// of one of them in bytes.
	MaxHeaders    = 32
	MaxHeaderSize = 8 << 10
	// MaxDepth is how deep JSON may be nested.
	MaxDepth = 512
	// MaxBatch is the number of events in one batch.
	MaxBatch = 10_000
)

// InvalidError says why a message is not a valid CloudEvent. Its text is one
// plain sentence for the sender: it shows names, never values.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

func invalid(format string, args ...any) error {
	return &InvalidError{Reason: fmt.Sprintf(format, args...)}
}

// shown quotes a name that the sender chose, cut to a length that can be shown.
func shown(name string) string {
	if len(name) > 40 {
		return fmt.Sprintf("%q...", name[:40])
	}
	return fmt.Sprintf("%q", name)
}
