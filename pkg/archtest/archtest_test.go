package archtest

import (
	"go/doc"
	"slices"
	"strings"
	"testing"
)

// load returns the files of the whole module.
func load(t *testing.T) []file {
	t.Helper()
	files, err := readTree("../..", "cmd", "hack", "pkg", "test")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("found no Go files")
	}
	return files
}

// production returns the files of pkg that are no tests, by room. What is
// generated depends on what its generator chose.
func production(files []file) map[string][]file {
	byRoom := map[string][]file{}
	for _, f := range files {
		if name, ok := strings.CutPrefix(f.folder(), "pkg/"); ok && !f.test && !f.generated {
			byRoom[name] = append(byRoom[name], f)
		}
	}
	return byRoom
}

func TestRoomsImportOnlyWhatTheTableAllows(t *testing.T) {
	for name, files := range production(load(t)) {
		may, known := rooms[name]
		if !known {
			t.Errorf("pkg/%s is not in the table: add it to rooms in pkg/archtest/rooms.go and to ARCHITECTURE.md", name)
			continue
		}
		for _, f := range files {
			for _, path := range f.imports() {
				ours, ok := strings.CutPrefix(path, module)
				if !ok {
					continue
				}
				other := strings.TrimPrefix(ours, "pkg/")
				if within(other, "client") {
					other = client
				}
				if _, ok := may[other]; !ok {
					t.Errorf("%s imports %s: pkg/%s may not, unless pkg/archtest/rooms.go gives a reason", f.path, path, name)
				}
			}
		}
	}
}

func TestTableNamesRooms(t *testing.T) {
	for name, may := range rooms {
		for other, reason := range may {
			if _, ok := rooms[other]; !ok {
				t.Errorf("%s may import %s, which is not a room", name, other)
			}
			if reason == "" {
				t.Errorf("%s may import %s without a reason", name, other)
			}
		}
	}
}

func TestTableHasNoCycle(t *testing.T) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, way []string)
	visit = func(name string, way []string) {
		way = append(way, name)
		switch state[name] {
		case visiting:
			t.Errorf("rooms import each other in a circle: %s", strings.Join(way, " -> "))
		case 0:
			state[name] = visiting
			for other := range rooms[name] {
				visit(other, slices.Clone(way))
			}
			state[name] = done
		}
	}
	for name := range rooms {
		visit(name, nil)
	}
}

func TestBannedImports(t *testing.T) {
	for name, files := range production(load(t)) {
		for _, f := range files {
			for _, path := range f.imports() {
				for _, b := range bans {
					if within(path, b.path) && !allowed(name, b.but) {
						t.Errorf("%s imports %s: %s", f.path, path, b.reason)
					}
				}
			}
		}
	}
}

func TestPureRoomsTouchNothing(t *testing.T) {
	byRoom := production(load(t))
	for name, reason := range pure {
		for _, f := range byRoom[name] {
			for _, path := range f.imports() {
				if slices.Contains(impure, path) {
					t.Errorf("%s imports %s, but pkg/%s is pure: %s", f.path, path, name, reason)
				}
			}
			for _, call := range f.clockCalls() {
				t.Errorf("%s uses %s, but pkg/%s is pure: %s", f.path, call, name, reason)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	docs := map[string]string{}
	for _, f := range load(t) {
		name := f.syntax.Name.Name
		if f.test || f.generated || name == "main" {
			continue
		}
		docs[f.folder()] += ""
		if f.syntax.Doc == nil {
			continue
		}
		if docs[f.folder()] != "" {
			t.Errorf("%s: the package has a second package comment", f.path)
		}
		docs[f.folder()] = f.syntax.Doc.Text()
		if synopsis := new(doc.Package).Synopsis(docs[f.folder()]); !strings.HasPrefix(synopsis, "Package "+name+" ") {
			t.Errorf("%s: the package comment begins %q, not with a sentence about \"Package %s\"", f.path, synopsis, name)
		}
	}
	for folder, text := range docs {
		if text == "" {
			t.Errorf("%s has no package comment: say in one sentence what the package is", folder)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range load(t) {
		limit := longestFile
		switch {
		case f.generated:
			continue
		case f.test:
			limit = longestTest
		case strings.HasPrefix(f.path, "cmd/") && strings.HasSuffix(f.path, "/main.go"):
			limit = longestMain
		}
		if f.lines <= limit {
			continue
		}
		seen[f.path] = true
		if longFiles[f.path] == "" {
			t.Errorf("%s has %d lines, more than %d: split it, or give a reason in longFiles", f.path, f.lines, limit)
		}
	}
	for path := range longFiles {
		if !seen[path] {
			t.Errorf("longFiles lists %s, which is not long or not there", path)
		}
	}
}
