package cloudevent

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks over JSON text once, checks it as RFC 8259 says and finds the
// extents of values without reading what nobody asks for. The caller has made
// sure that the text is UTF-8. After a mistake all methods return false; what
// the first one was does not matter to anybody.
type scanner struct {
	b []byte
	i int
}

func validJSON(b []byte) bool {
	s := scanner{b: b}
	return utf8.Valid(b) && s.value(0) && s.end()
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, and 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// take moves over c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.i == len(s.b) {
		return false
	}
	s.i++
	return true
}

// end tells whether nothing is left.
func (s *scanner) end() bool {
	s.space()
	return s.i == len(s.b)
}

// value moves over one value. depth counts the arrays and objects around it.
func (s *scanner) value(depth int) bool {
	switch c := s.peek(); c {
	case '"':
		_, ok := s.string()
		return ok
	case '{':
		return depth < MaxDepth && s.object(depth)
	case '[':
		return depth < MaxDepth && s.array(depth)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

func (s *scanner) object(depth int) bool {
	return s.list('{', '}', func() bool {
		if s.peek() != '"' {
			return false
		}
		_, ok := s.string()
		return ok && s.take(':') && s.value(depth+1)
	})
}

func (s *scanner) array(depth int) bool {
	return s.list('[', ']', func() bool { return s.value(depth + 1) })
}

// list moves over elements with commas between them and brackets around them.
func (s *scanner) list(open, end byte, element func() bool) bool {
	if !s.take(open) {
		return false
	}
	if s.take(end) {
		return true
	}
	for element() {
		if s.take(end) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
	return false
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// string moves over a string and returns it with its quotes.
func (s *scanner) string() (quoted []byte, ok bool) {
	start := s.i
	for i := s.i + 1; i < len(s.b); i++ {
		if i += plainLength(s.b[i:]); i == len(s.b) {
			break
		}
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return s.b[start:s.i:s.i], true
		case c < 0x20:
			return nil, false
		case c == '\\':
			n := escapeLength(s.b[i:])
			if n == 0 {
				return nil, false
			}
			i += n - 1
		}
	}
	return nil, false
}

// plainLength returns how many bytes at the beginning of b, or some less, are
// neither a quote, nor a backslash, nor below 0x20: eight at a time, by the
// borrow that a subtraction takes from the high bit of such a byte.
func plainLength(b []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, backslash := w^'"'*ones, w^'\\'*ones
		special := ((quote-ones)&^quote | (backslash-ones)&^backslash | (w-0x20*ones)&^w) & high
		if special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	return n
}

// escapeLength returns the length of the escape at the beginning of b, 0 if it
// is none.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] == 'u' {
		if len(b) < 6 || !isHex(b[2]) || !isHex(b[3]) || !isHex(b[4]) || !isHex(b[5]) {
			return 0
		}
		return 6
	}
	if strings.IndexByte(`"\/bfnrt`, b[1]) < 0 {
		return 0
	}
	return 2
}

func (s *scanner) number() bool {
	start := s.i
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	if s.i < len(s.b) && s.b[s.i] == '0' {
		s.i++
	} else if s.digits() == 0 {
		s.i = start
		return false
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			return false
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		return s.digits() > 0
	}
	return true
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}

// unquoteJSON returns the content of a string that the scanner has accepted,
// part of it where it has no escapes. It fails at half a surrogate pair.
func unquoteJSON(quoted []byte) (content []byte, ok bool) {
	in := quoted[1 : len(quoted)-1]
	first := bytes.IndexByte(in, '\\')
	if first < 0 {
		return in, true
	}
	out := make([]byte, first, len(in))
	copy(out, in)
	for i := first; i < len(in); {
		if in[i] != '\\' {
			out = append(out, in[i])
			i++
			continue
		}
		if in[i+1] != 'u' {
			out = append(out, unescape(in[i+1]))
			i += 2
			continue
		}
		r := hexRune(in[i+2:])
		i += 6
		if utf16.IsSurrogate(r) {
			if len(in)-i < 6 || in[i] != '\\' || in[i+1] != 'u' {
				return nil, false
			}
			if r = utf16.DecodeRune(r, hexRune(in[i+2:])); r == utf8.RuneError {
				return nil, false
			}
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hexRune(b []byte) rune {
	return rune(unhex(b[0]))<<12 | rune(unhex(b[1]))<<8 | rune(unhex(b[2]))<<4 | rune(unhex(b[3]))
}
