package filesource

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"leat.dev/leat/pkg/routing"
)

// memory keeps what was good, so that a mistake in a file changes nothing that
// runs.
type memory struct {
	files map[string]*remembered
	// good is the version of each object that is in use.
	good map[key]metav1.Object
}

// remembered is the last version of a file that could be parsed, and what is
// wrong with the present one.
type remembered struct {
	hash [sha256.Size]byte
	docs []document
	err  string
}

// world is all objects that are in use, with what is to be said about them.
type world struct {
	objects  []object
	problems []routing.Problem
	// sure is false when something could not be read, so that what is not in
	// objects need not be gone.
	sure bool
}

type object struct {
	key  key
	file string
	obj  metav1.Object
}

func newMemory() *memory {
	return &memory{files: make(map[string]*remembered), good: make(map[key]metav1.Object)}
}

// update takes a folder in as it is now. changed is whether that differs from
// the last time.
func (m *memory) update(s snapshot) (w world, changed bool) {
	files := make(map[string]*remembered, len(s.files))
	b := worldBuilder{world: world{sure: true}, last: m.good, good: make(map[key]metav1.Object), where: make(map[key]string)}
	present := make(map[string]bool, len(s.files))
	for _, f := range s.files {
		present[f.path] = true
	}
	for _, f := range s.files {
		for _, path := range m.reach(f, present) {
			old := m.files[path]
			now := remember(f, old)
			changed = changed || old == nil || old.hash != now.hash || old.err != now.err
			files[path] = now
			if path == f.path && now.err != "" {
				b.problem(path, "", now.err)
				b.world.sure = false
			}
			b.documents(path, now.docs)
		}
	}
	changed = changed || len(files) != len(m.files)
	m.files, m.good = files, b.good
	return b.world, changed
}

// reach is the files that a look at f tells about: f itself and, if f is a
// folder that cannot be read to its end, those remembered in it that were not
// seen.
func (m *memory) reach(f file, present map[string]bool) []string {
	paths := []string{f.path}
	if f.err == nil {
		return paths
	}
	for path := range m.files {
		if strings.HasPrefix(path, f.path+string(filepath.Separator)) && !present[path] {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

func remember(f file, old *remembered) *remembered {
	switch {
	case f.err != nil:
		now := &remembered{err: f.err.Error()}
		if old != nil {
			now.hash, now.docs = old.hash, old.docs
		}
		return now
	case old != nil && old.hash == f.hash && old.err == "":
		return old
	}
	now := &remembered{hash: f.hash}
	docs, err := parse(f.data)
	if err != nil {
		now.err = err.Error()
		if old != nil {
			docs = old.docs
		}
	}
	now.docs = docs
	return now
}

// worldBuilder goes through documents in the order of the files.
type worldBuilder struct {
	world     world
	documentN int
	last      map[key]metav1.Object // the versions in use until now
	good      map[key]metav1.Object // those in use from now on
	where     map[key]string        // the file of each object
}

func (b *worldBuilder) problem(file, object, reason string) {
	b.world.problems = append(b.world.problems, routing.Problem{File: file, Object: object, Reason: reason})
}

func (b *worldBuilder) documents(path string, docs []document) {
	for i := range docs {
		b.documentN++
		if b.documentN > maxDocuments {
			b.world.sure = false
			b.problem(path, "", fmt.Sprintf("there are more than %d objects: the rest is left out", maxDocuments))
			return
		}
		b.document(path, &docs[i])
	}
}

func (b *worldBuilder) document(path string, d *document) {
	if d.key == (key{}) {
		b.problem(path, "", d.problem)
		b.world.sure = false
		return
	}
	if d.foreign {
		b.problem(path, d.key.String(), d.problem)
		return
	}
	if first, ok := b.where[d.key]; ok {
		b.problem(path, d.key.String(), fmt.Sprintf("it is in %s as well; that one is used", first))
		return
	}
	b.where[d.key] = path
	obj := d.obj
	if d.problem != "" {
		reason := d.problem
		if obj == nil && b.last[d.key] != nil {
			reason += "; the last good version stays in use"
		}
		b.problem(path, d.key.String(), reason)
	}
	if obj == nil {
		b.world.sure = false
		obj = b.last[d.key]
	}
	if obj != nil {
		b.good[d.key] = obj
		b.world.objects = append(b.world.objects, object{key: d.key, file: path, obj: obj})
	}
}
