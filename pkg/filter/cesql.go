package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	cesql "github.com/cloudevents/sdk-go/sql/v2"
	"github.com/cloudevents/sdk-go/sql/v2/parser"
	sdkevent "github.com/cloudevents/sdk-go/v2/event"

	"leat.dev/leat/pkg/cloudevent"
)

// maxWork bounds the steps of one evaluation, about a fifth of a second. The
// library takes no exponential time, but its LIKE takes text times pattern, and
// CONCAT makes long texts: 4 KiB of expression kept it busy for 35 seconds over
// an attribute of 60 KB. An expression with one LIKE of 50 bytes is evaluated
// over any event that fits into cloudevent's limits.
const maxWork = 1 << 28

// query is a CESQL expression. A result that is not boolean is false
// (cloudevents/spec PR 1243), and so is an evaluation that fails, panics in the
// library or would take too long.
type query struct {
	expr cesql.Expression
	cost cost
}

// cost is what bounds the work of an expression from above.
type cost struct {
	length int
	// words are at least the attributes used, calls at least the functions.
	words, calls int
	// pattern is at least the bytes of all LIKE patterns.
	pattern int
}

// work is a bound on the steps over an event with so many bytes in attributes:
// every text is at most all words' attributes joined, and is gone over once for
// each function and for each byte of a pattern.
func (c cost) work(attributes int) int {
	return (c.words*attributes + c.length) * (1 + c.calls + c.pattern)
}

func newCESQL(text string) (node, error) {
	if len(text) > MaxCESQL {
		return nil, fmt.Errorf("the expression %q... is longer than %d bytes", text[:60], MaxCESQL)
	}
	cost, err := scan(text)
	if err == nil {
		var expr cesql.Expression
		if expr, err = parse(text); err == nil {
			return &query{expr: expr, cost: cost}, nil
		}
	}
	return nil, fmt.Errorf("the expression %q is no CESQL: %w", text, err)
}

// scan measures an expression and finds what the library's lexer would skip
// with no more than a line on stderr, and the unbalanced parentheses over which
// its parser takes quadratic time.
func scan(text string) (cost, error) {
	c := cost{length: len(text)}
	quoted, open, like, start := 0, 0, false, -1
	endWord := func(i int) {
		if start >= 0 {
			c.words++
			like = like || strings.EqualFold(text[start:i], "LIKE")
		}
		start = -1
	}
	for i := 0; i < len(text); i++ {
		b := text[i]
		if isWord(b) {
			if start < 0 {
				start = i
			}
			continue
		}
		endWord(i)
		switch {
		case b == '\'' || b == '"':
			end := closingQuote(text, i)
			if end < 0 {
				return c, fmt.Errorf("the quote at byte %d is not closed", i)
			}
			quoted += end - i
			i = end
		case b == '(':
			c.calls++
			open++
		case b == ')':
			if open--; open < 0 {
				return c, fmt.Errorf("the parenthesis at byte %d was not opened", i)
			}
		case strings.IndexByte(" \t\r\n,+-*/%=!<>", b) < 0:
			return c, fmt.Errorf("unexpected character at byte %d", i)
		}
	}
	endWord(len(text))
	if open > 0 {
		return c, errors.New("a parenthesis is not closed")
	}
	if like {
		c.pattern = quoted
	}
	return c, nil
}

func isWord(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}

// closingQuote returns the index of the quote that closes the one at i, or -1.
func closingQuote(text string, i int) int {
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '\\':
			j++
		case text[i]:
			return j
		}
	}
	return -1
}

// parsing guards the caches that the generated parser shares between parsers.
var parsing sync.Mutex

func parse(text string) (expr cesql.Expression, err error) {
	parsing.Lock()
	defer parsing.Unlock()
	defer func() {
		if r := recover(); r != nil {
			expr, err = nil, errors.New("it cannot be parsed")
		}
	}()
	expr, err = parser.Parse(text)
	return expr, err
}

func (q *query) match(_ *cloudevent.Event, sdk *sdkEvent) (matches bool) {
	defer func() {
		if recover() != nil {
			matches = false
		}
	}()
	if !sdk.build() || q.cost.work(sdk.size) > maxWork {
		return false
	}
	value, err := q.expr.Evaluate(*sdk.event)
	matches, isBool := value.(bool)
	return err == nil && isBool && matches
}

func (q *query) interest() Interest { return Interest{} }

// sdkEvent is the event in the SDK's form, made when the first CESQL expression
// of a filter needs it. It belongs to one Match.
type sdkEvent struct {
	from  *cloudevent.Event
	built bool
	event *sdkevent.Event
	// size is the bytes of all attribute values.
	size int
}

// build reports whether there is an event in the SDK's form.
func (s *sdkEvent) build() bool {
	if s.built {
		return s.event != nil
	}
	s.built = true
	for _, v := range s.from.Attributes() {
		s.size += len(v.S)
	}
	event, err := s.from.SDK()
	if err != nil {
		return false
	}
	s.event = event
	return true
}
