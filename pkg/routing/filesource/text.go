package filesource

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestText bounds what a hostile file can put into a Problem, in bytes.
const longestText = 500

// oneLine makes a text fit for a log and a terminal: one line, printable and
// not too long.
func oneLine(s string) string {
	if len(s) > longestText {
		cut := longestText
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}
