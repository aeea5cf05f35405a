package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const module = "leat.dev/leat/"

// A file is one Go source file.
type file struct {
	// path is relative to the module, with slashes.
	path  string
	test  bool
	lines int
	// generated files carry the standard's "Code generated ... DO NOT EDIT."
	generated bool
	syntax    *ast.File
}

// readTree reads the Go files below the folders of root. A folder that is not
// there has none.
func readTree(root string, folders ...string) ([]file, error) {
	var files []file
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err):
				return nil
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go"):
				return nil
			}
			f, err := readFile(root, path)
			files = append(files, f)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func readFile(root, path string) (file, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, path)
	return file{
		path:      filepath.ToSlash(rel),
		test:      strings.HasSuffix(path, "_test.go"),
		lines:     bytes.Count(src, []byte("\n")),
		generated: ast.IsGenerated(syntax),
		syntax:    syntax,
	}, err
}

// folder returns the folder of the file.
func (f file) folder() string { return filepath.ToSlash(filepath.Dir(f.path)) }

// imports returns the paths that the file imports.
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic("BUG: the parser took an import that is no string: " + spec.Path.Value)
		}
		paths = append(paths, path)
	}
	return paths
}

// clockCalls returns the functions of package time that the file uses and that
// read the clock.
func (f file) clockCalls() []string {
	var found []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(clocks, sel.Sel.Name) {
			found = append(found, "time."+sel.Sel.Name)
		}
		return true
	})
	return found
}

// within says whether path is prefix or lies below it.
func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// allowed says whether room is one of the list, whose entries may end in "/...".
func allowed(room string, list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if below, ok := strings.CutSuffix(entry, "/..."); ok {
			return within(room, below)
		}
		return room == entry
	})
}
