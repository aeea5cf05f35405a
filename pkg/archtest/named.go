package archtest

import (
	"go/ast"
	"regexp"
	"strings"
)

// namedTest is how a page names a test: `room.TestName`, where the room is below
// pkg/ or begins with test/. The cases of engine/enginetest are functions that
// begin with test.
var namedTest = regexp.MustCompile("`([a-z0-9]+(?:/[a-z0-9]+)*)\\.((?:Test|Fuzz|Benchmark|test)[A-Za-z0-9]*)[`/]")

// namedTests are the tests that a page names, as folder.TestName.
func namedTests(page string) (names []string) {
	for _, m := range namedTest.FindAllStringSubmatch(page, -1) {
		folder := m[1]
		if !strings.HasPrefix(folder, "test/") {
			folder = "pkg/" + folder
		}
		names = append(names, folder+"."+m[2])
	}
	return names
}

// testsOf are all tests of the files, as folder.TestName.
func testsOf(files []file) map[string]bool {
	tests := map[string]bool{}
	for _, f := range files {
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if ok && fn.Recv == nil && (f.test || strings.HasSuffix(f.folder(), "/enginetest")) {
				tests[f.folder()+"."+fn.Name.Name] = true
			}
		}
	}
	return tests
}

// startsGoroutine says whether the file starts a goroutine, itself or by a
// method Go such as that of sync.WaitGroup.
func (f file) startsGoroutine() (found bool) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = true
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
				found = true
			}
		}
		return !found
	})
	return found
}
