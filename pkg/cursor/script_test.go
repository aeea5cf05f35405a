package cursor

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts answer now into testdata")

// TestScripts runs testdata/*.txt. A script is blocks of commands, each with
// the answers behind ----. After each command the whole state is printed.
//
//	new NEXT | begin [LANE] | skip SEQ | settle SEQ | release SEQ | releaseall
//	park SEQ AFTER | time NOW | take | seek SEQ | changes | restore
//
// times are in units of the script; restore makes the cursor anew from all the
// changes so far.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{c: New(1), saved: map[uint64]Unsettled{}}
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		commands, _, isBlock := strings.Cut(block, "\n----")
		answer := commands
		if isBlock {
			answer += "\n----"
			for line := range strings.SplitSeq(commands, "\n") {
				if !strings.HasPrefix(line, "#") {
					answer += "\n" + s.run(t, strings.Fields(line))
				}
			}
		}
		out = append(out, answer)
	}
	got := strings.Join(out, "\n\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if got != string(text) {
		t.Errorf("%s answers\n%s\nRun with -rewrite and read the difference.", file, got)
	}
}

type script struct {
	c     *Cursor
	now   int64
	next  uint64
	saved map[uint64]Unsettled
}

func (s *script) run(t *testing.T, words []string) string {
	t.Helper()
	arg := func(i int) uint64 {
		if i >= len(words) {
			return 0
		}
		n, err := strconv.ParseUint(words[i], 10, 64)
		if err != nil {
			t.Fatalf("%v: %v", words, err)
		}
		return n
	}
	answer := ""
	fail := func(err error) {
		if err != nil {
			answer = " -> " + err.Error()
		}
	}
	switch words[0] {
	case "new":
		*s = script{c: New(arg(1)), saved: map[uint64]Unsettled{}}
	case "begin":
		if !s.c.Begin(arg(1)) {
			answer = " -> waits"
		}
	case "skip":
		s.c.SkipTo(arg(1))
	case "settle":
		fail(s.c.Settle(arg(1)))
	case "release":
		fail(s.c.Release(arg(1)))
	case "releaseall":
		s.c.ReleaseAll()
	case "park":
		fail(s.c.Park(arg(1), s.now, int64(arg(2))))
	case "time":
		s.now = int64(arg(1))
	case "take":
		answer = " -> nothing"
		if seq, attempt, ok := s.c.TakeDue(s.now); ok {
			answer = fmt.Sprintf(" -> %d attempt %d", seq, attempt)
		}
	case "seek":
		skipped, again := s.c.Seek(arg(1))
		answer = fmt.Sprintf(" -> skipped %d, again %d", skipped, again)
	case "changes":
		answer = s.changes()
	case "restore":
		all := []Unsettled{}
		for _, u := range s.saved {
			all = append(all, u)
		}
		c, err := Restore(s.next, all)
		if err != nil {
			t.Fatal(err)
		}
		s.c = c
	default:
		t.Fatalf("unknown command %v", words)
	}
	return strings.Join(words, " ") + answer + "\n    " + s.state()
}

func (s *script) changes() string {
	if !s.c.Changed() {
		return " -> none"
	}
	ch := s.c.Changes()
	text := fmt.Sprintf(" -> next %d", ch.Next)
	for _, seq := range ch.Gone {
		text += fmt.Sprintf(", gone %d", seq)
		delete(s.saved, seq)
	}
	slices.SortFunc(ch.Put, func(a, b Unsettled) int { return int(a.Seq) - int(b.Seq) })
	for _, u := range ch.Put {
		text += fmt.Sprintf(", put %d#%d", u.Seq, u.Attempt)
		if u.Lane != NoLane {
			text += fmt.Sprintf(" lane %d", u.Lane)
		}
		if u.Parked {
			text += fmt.Sprintf(" due %d", u.Due)
		}
		s.saved[u.Seq] = u
	}
	s.next = ch.Next
	return text
}

// state is one line: floor, next, each unsettled record with its attempt, and
// what is in flight from before a seek.
func (s *script) state() string {
	text := fmt.Sprintf("floor %d next %d", s.c.Floor(), s.c.Next())
	for e := s.c.first; e != nil; e = e.next {
		text += fmt.Sprintf(" | %d#%d %s", e.seq, e.attempt, e.state)
		if e.state == parked {
			text += fmt.Sprintf(" due %d", e.due)
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(s.c.left)) {
		text += fmt.Sprintf(" | %d#%d left in flight", seq, s.c.left[seq].attempt)
	}
	return text
}
