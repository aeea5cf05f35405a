package cloudevent

import (
	"strings"
	"unicode/utf8"
)

// decodeHeaderValue undoes double quotes and then percent-encoding (HTTP
// binding, section 3.1.3.2). A percent sign that begins no escape stays, as
// senders are about that do not encode. The content type is a header of its
// own and not encoded.
func decodeHeaderValue(name, s string) (string, error) {
	if name == attrDataContentType {
		return s, nil
	}
	if len(s) >= 2 && s[0] == '"' {
		s = unquoteHeader(s)
	}
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	if out := b.String(); utf8.ValidString(out) {
		return out, nil
	}
	return "", invalid("the percent-encoded value of the attribute %s is not UTF-8", shown(name))
}

// unquoteHeader returns the content of a quoted-string (RFC 7230, section
// 3.2.6), and s itself if it is not one from its first byte to its last.
func unquoteHeader(s string) string {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if i == len(s)-1 {
				return b.String()
			}
			return s
		case '\\':
			if i++; i == len(s) {
				return s
			}
		}
		b.WriteByte(s[i])
	}
	return s
}

const hexDigits = "0123456789ABCDEF"

// encodeHeaderValue percent-encodes what must not stand in a header.
func encodeHeaderValue(s string) string {
	n := 0
	for i := range len(s) {
		if mustEncode(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; mustEncode(c) {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

func mustEncode(c byte) bool { return c <= ' ' || c == '"' || c == '%' || c > '~' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
