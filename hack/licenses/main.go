// Command licenses copies the licences of all modules that the commands are
// built from into third_party/licenses, or verifies that they are there.
//
// A licence holds for the package in whose folder it lies and for those below
// it, so the folders from each package up to its module's root are searched.
// The list of packages is that of one platform, whatever the machine is.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	folder = "third_party/licenses"
	list   = "third_party/licenses.csv"
)

func main() {
	verify := flag.Bool("verify", false, "compare with what is there instead of writing")
	flag.Parse()
	if err := run(*verify); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(verify bool) error {
	packages, err := dependencies()
	if err != nil {
		return err
	}
	want, err := collect(packages)
	if err != nil {
		return err
	}
	if !verify {
		return write(want)
	}
	have, err := read()
	if err != nil {
		return err
	}
	return compare(have, want)
}

// pkg is what `go list` says of one package.
type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	Module     *struct {
		Path    string
		Version string
		Dir     string
		Main    bool
	}
}

// dependencies lists the packages of other modules that the commands use.
func dependencies() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,Module", "./cmd/...")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		switch {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		case !p.Standard && !p.Module.Main:
			packages = append(packages, p)
		}
	}
}

// collect returns the files to be written, by path: the licences, and the list
// of modules with the kinds of their licences.
func collect(packages []pkg) (map[string][]byte, error) {
	files := map[string][]byte{}
	kinds := map[string][]string{}
	for _, p := range packages {
		found, err := p.licences()
		if err != nil {
			return nil, err
		}
		name := p.Module.Path + "," + p.Module.Version
		known := kinds[name]
		for path, text := range found {
			files[filepath.Join(folder, p.Module.Path, path)] = text
			if k := kind(text); k != "" && !slices.Contains(known, k) {
				known = append(known, k)
			}
		}
		kinds[name] = known
	}
	var csv bytes.Buffer
	fmt.Fprintln(&csv, "module,version,licences")
	for _, name := range sortedKeys(kinds) {
		if len(kinds[name]) == 0 {
			return nil, fmt.Errorf("%s has no licence that we know: look at it, and teach kind() or do without the module", name)
		}
		slices.Sort(kinds[name])
		fmt.Fprintf(&csv, "%s,%s\n", name, strings.Join(kinds[name], " "))
	}
	files[list] = csv.Bytes()
	return files, nil
}

// licences reads the files that are a licence or belong to one, from the folder
// of the package up to its module's root, by path below that root.
func (p pkg) licences() (map[string][]byte, error) {
	found := map[string][]byte{}
	for dir := p.Dir; strings.HasPrefix(dir, p.Module.Dir); dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || !isLicence(e.Name()) {
				continue
			}
			path := filepath.Join(dir, e.Name())
			rel, err := filepath.Rel(p.Module.Dir, path)
			if err != nil {
				return nil, err
			}
			if found[rel], err = os.ReadFile(path); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func isLicence(name string) bool {
	if filepath.Ext(name) == ".go" {
		return false
	}
	upper := strings.ToUpper(name)
	return slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"}, func(prefix string) bool {
		return strings.HasPrefix(upper, prefix)
	})
}

// kind names the licence by a sentence that only it has, as SPDX does. It is
// empty for a text that is not a licence we may use.
func kind(text []byte) string {
	words := strings.Join(strings.Fields(string(text)), " ")
	has := func(s string) bool { return strings.Contains(words, s) }
	switch {
	case has("Apache License") && has("Version 2.0, January 2004"):
		return "Apache-2.0"
	case has("Mozilla Public License Version 2.0") || has("Mozilla Public License, version 2.0"):
		return "MPL-2.0"
	case has("Redistribution and use in source and binary forms") && has("Neither the name"):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms") && has("may not be used to endorse"):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	case has("Permission to use, copy, modify, and/or distribute this software") || has("Permission to use, copy, modify, and distribute this software"):
		return "ISC"
	case has("Permission is hereby granted, free of charge"):
		return "MIT"
	}
	return ""
}

// write replaces what is there.
func write(want map[string][]byte) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for path, text := range want {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// read returns what is there.
func read() (map[string][]byte, error) {
	have := map[string][]byte{}
	for _, root := range []string{folder, list} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			have[path], err = os.ReadFile(path)
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return have, nil
}

func compare(have, want map[string][]byte) error {
	var problems []string
	for _, path := range sortedKeys(want) {
		switch text, ok := have[path]; {
		case !ok:
			problems = append(problems, path+" is missing")
		case !bytes.Equal(text, want[path]):
			problems = append(problems, path+" is not what the module has")
		}
	}
	for _, path := range sortedKeys(have) {
		if _, ok := want[path]; !ok {
			problems = append(problems, path+" belongs to no module that is used")
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("run `make generate-licenses`:\n%s", strings.Join(problems, "\n"))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
