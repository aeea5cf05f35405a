package kube

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// dependOnSources lets go test know that its result is about the programs as
// they are now. It knows the files that a test has looked at. An import of the
// programs' packages would not do: the linker leaves out what no test calls.
func dependOnSources(t testing.TB) {
	t.Helper()
	for _, folder := range []string{"cmd", "pkg"} {
		must(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Ext(path) == ".go" {
				_, err = os.Stat(path)
			}
			return err
		}))
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		_, err := os.Stat(filepath.Join(root, file))
		must(t, err)
	}
}
