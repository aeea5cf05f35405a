package spec

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A clause is one entry of clauses.yaml; the fields are explained there.
type clause struct {
	ID      string   `json:"id"`
	Section string   `json:"section"`
	Level   string   `json:"level"`
	Quote   string   `json:"quote"`
	Binds   []string `json:"binds"`
	Tests   []string `json:"tests"`
	NotOurs string   `json:"not-ours"`
	Note    string   `json:"note"`
}

var (
	levels  = []string{"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "REQUIRED", "RECOMMENDED", "TABLE", "IS"}
	parties = []string{"sender", "recipient", "broker", "channel", "trigger", "subscription", "operator"}
)

// TestClauses holds the list to what it promises: each clause is shown by tests
// that exist or says why it needs none, and each test shows a clause.
func TestClauses(t *testing.T) {
	text, err := os.ReadFile("clauses.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var specs map[string][]clause
	if err := yaml.UnmarshalStrict(text, &specs); err != nil {
		t.Fatal(err)
	}
	tests := testsOfThisFolder(t)
	named := map[string]bool{"TestClauses": true}
	ids := map[string]bool{}
	for spec, clauses := range specs {
		for _, c := range clauses {
			check(t, spec, c, tests)
			if ids[c.ID] {
				t.Errorf("%s is listed twice", c.ID)
			}
			ids[c.ID] = true
			for _, name := range c.Tests {
				named[name] = true
			}
		}
	}
	for _, name := range tests {
		if !named[name] {
			t.Errorf("no clause is shown by %s: name it in clauses.yaml or move it to another folder", name)
		}
	}
	t.Logf("%d clauses of the data-plane spec, %d of the control-plane spec, %d tests",
		len(specs["data-plane"]), len(specs["control-plane"]), len(tests)-1)
}

func check(t *testing.T, spec string, c clause, tests []string) {
	t.Helper()
	if c.ID == "" || c.Section == "" || len(c.Binds) == 0 {
		t.Errorf("%s: clause %+v is not complete", spec, c)
	}
	if !slices.Contains(levels, c.Level) {
		t.Errorf("%s has the level %q, which is none of %q", c.ID, c.Level, levels)
	}
	if n := len(strings.Fields(c.Quote)); n == 0 || n >= 25 {
		t.Errorf("%s quotes %d words, want a fragment of less than 25", c.ID, n)
	}
	if slices.Contains([]string{"MUST", "SHOULD", "REQUIRED", "RECOMMENDED"}, strings.Fields(c.Level)[0]) &&
		!strings.Contains(c.Quote, c.Level) {
		t.Errorf("%s has the level %s, which its quotation does not show", c.ID, c.Level)
	}
	if (len(c.Tests) == 0) == (c.NotOurs == "") {
		t.Errorf("%s needs tests or a reason why it is not ours, and not both", c.ID)
	}
	for _, name := range c.Tests {
		if !slices.Contains(tests, name) {
			t.Errorf("%s names %s, which does not exist", c.ID, name)
		}
	}
	for _, who := range c.Binds {
		if !slices.Contains(parties, who) {
			t.Errorf("%s binds %q, who is none of %q", c.ID, who, parties)
		}
	}
}

func testsOfThisFolder(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
