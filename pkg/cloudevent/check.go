package cloudevent

import (
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// validName tells whether name can be an attribute's (spec.md, Naming
// Conventions). The name "data" is reserved for the data itself.
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && name != "data" && len(name) <= MaxNameLength
}

// checkValue holds a value against the type of its attribute.
func checkValue(name string, v Value) error {
	if len(v.S) > MaxValueSize {
		return invalid("the value of the attribute %s is longer than %d bytes", shown(name), MaxValueSize)
	}
	if !validString(v.S) {
		return invalid("the value of the attribute %s has characters that CloudEvents forbid (invalid UTF-8, control characters or noncharacters)", shown(name))
	}
	switch name {
	case attrID, attrType, attrSource:
		if blank(v.S) {
			return invalid("the attribute %q is required and must not be empty", name)
		}
		if name == attrSource && !validURIReference(v.S) {
			return invalid("the attribute \"source\" must be a URI-reference")
		}
	case attrDataSchema:
		if u, err := url.Parse(v.S); err != nil || !u.IsAbs() {
			return invalid("the attribute \"dataschema\" must be an absolute URI")
		}
	case attrDataContentType:
		if !validMediaType(v.S) {
			return invalid("the content type of the data must be a media type like \"application/json\"")
		}
	case attrTime:
		if _, err := time.Parse(time.RFC3339, v.S); err != nil {
			return invalid("the attribute \"time\" must be an RFC 3339 timestamp like \"2018-04-05T17:31:00Z\"")
		}
	}
	return nil
}

// wellKnown tells whether the specification defines the attribute. Those are
// strings in JSON, and an empty one counts as absent if it is optional.
func wellKnown(name string) bool {
	return required(name) || optional(name)
}

func required(name string) bool {
	switch name {
	case attrID, attrSource, attrType, attrSpecVersion:
		return true
	}
	return false
}

func optional(name string) bool {
	switch name {
	case attrDataContentType, attrDataSchema, attrSubject, attrTime:
		return true
	}
	return false
}

// blank tells whether nothing is to be seen of s. The SDK takes such values for
// empty ones, so nobody could receive them.
func blank(s string) bool { return strings.TrimSpace(s) == "" }

// validString tells whether s is a String of the type system.
func validString(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return validUnicode(s[i:])
		}
	}
	return true
}

func validUnicode(s string) bool {
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return false
			}
		case r < 0x20, r >= 0x7f && r <= 0x9f:
			return false
		case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
			return false
		}
	}
	return true
}

// validURIReference tells whether net/url can read s. What most sources look
// like is seen without it: a path, or a scheme and a plain host or path.
func validURIReference(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		rest = s
	} else if !plainScheme(scheme) {
		rest = ""
	}
	if rest != "" && plainPath(strings.TrimPrefix(rest, "//")) {
		return true
	}
	_, err := url.Parse(s)
	return err == nil
}

func plainScheme(s string) bool {
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return false
		}
	}
	return s != ""
}

func plainPath(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '/', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

func validMediaType(s string) bool {
	base, _, params := strings.Cut(s, ";")
	kind, sub, ok := strings.Cut(strings.TrimSpace(base), "/")
	if !ok || !token(kind) || !token(sub) {
		return false
	}
	if !params {
		return true
	}
	_, _, err := mime.ParseMediaType(s)
	return err == nil
}

// token tells whether s is a token of RFC 9110, section 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// isJSON tells whether a content type declares JSON: */json or */*+json
// (json-format.md, section 3.1.1).
func isJSON(contentType string) bool {
	base, _, _ := strings.Cut(contentType, ";")
	_, sub, _ := strings.Cut(strings.TrimSpace(base), "/")
	return strings.EqualFold(sub, "json") || hasSuffixFold(sub, "+json")
}

func isText(contentType string) bool { return hasPrefixFold(contentType, "text/") }

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
