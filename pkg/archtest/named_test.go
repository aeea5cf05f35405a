package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every test that a page names is there: a promise without its proof is found
// when the proof goes or is renamed.
func TestPagesNameTestsThatExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages", err)
	}
	tests := testsOf(load(t))
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range namedTests(string(text)) {
			if !tests[name] {
				t.Errorf("%s names %s, which is not there", filepath.Base(page), name)
			}
		}
	}
}

// Each of the ten invariants names tests.
func TestEveryInvariantHasTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 10; n++ {
		_, section, ok := strings.Cut(string(text), "\n## "+strconv.Itoa(n)+". ")
		section, _, _ = strings.Cut(section, "\n## ")
		if !ok || len(namedTests(section)) == 0 {
			t.Errorf("docs/invariants.md names no test of invariant %d", n)
		}
	}
}

func TestNamesOfTests(t *testing.T) {
	const page = "`eventlog.TestCrash`, `engine/enginetest.testSeek` and\n`test/crash.TestKill/x`, but not `fsync`, `stream.go` or `Stream.Test`"
	want := []string{"pkg/eventlog.TestCrash", "pkg/engine/enginetest.testSeek", "test/crash.TestKill"}
	if got := namedTests(page); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whoever starts a goroutine waits for it (invariant 10): the tests of each room
// that starts some look for leaks.
func TestRoomsThatStartGoroutinesLookForLeaks(t *testing.T) {
	files := load(t)
	for name, production := range production(files) {
		if strings.HasSuffix(name, "test") { // it runs in the tests of others
			continue
		}
		looks := slices.ContainsFunc(files, func(f file) bool {
			return f.test && f.folder() == "pkg/"+name && slices.Contains(f.imports(), "go.uber.org/goleak")
		})
		if !looks && slices.ContainsFunc(production, file.startsGoroutine) {
			t.Errorf("pkg/%s starts goroutines, and its TestMain does not look for leaks with goleak (invariant 10)", name)
		}
	}
}
