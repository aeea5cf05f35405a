package filesource

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

// running is a Source that follows a real folder, with real notifications.
type running struct {
	t      *testing.T
	dir    string
	tables chan *routing.Table
	last   *routing.Table
}

// run starts a Source that looks by itself only after poll, and ends it with
// the test.
func run(t *testing.T, dir string, poll time.Duration) *running {
	t.Helper()
	r := &running{t: t, dir: dir, tables: make(chan *routing.Table, 100)}
	s := newSource(t, dir)
	s.quiet, s.poll, s.settle = 10*time.Millisecond, poll, 20*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx, func(table *routing.Table) { r.tables <- table }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return r
}

// until waits for a table with these streams and routes.
func (r *running) until(complete bool, streams ...string) {
	r.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case table := <-r.tables:
			if r.last != nil && table.Generation != r.last.Generation+1 {
				r.t.Errorf("generation %d follows %d", table.Generation, r.last.Generation)
			}
			r.last = table
		case <-timeout:
			r.t.Fatalf("no table with %q, the last one has %q, problems %q", streams, outline(r.last), problems(r.last))
		}
		if slices.Equal(outline(r.last), streams) && r.last.Complete == complete {
			return
		}
	}
}

func (r *running) write(name, data string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(data), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// never is a poll that no test waits for: it sees what is notified alone.
const never = time.Hour

func TestFollowsFiles(t *testing.T) {
	r := run(t, t.TempDir(), never)
	r.until(false)
	r.write("a.yaml", brokerYAML("a"))
	r.until(true, "broker/default/a")
	r.write("b.yml", triggerYAML("t", "a", ""))
	r.until(true, "broker/default/a: trigger/default/t")
	r.write("c.txt", brokerYAML("c"))
	r.write(".d.yaml", brokerYAML("d"))
	must(t, os.Mkdir(filepath.Join(r.dir, "e.yaml"), 0o700)) // a folder all the same
	r.write("a.yaml", brokerYAML("a")+brokerYAML("a2"))
	r.until(true, "broker/default/a2", "broker/default/a: trigger/default/t")
	must(t, os.Remove(filepath.Join(r.dir, "b.yml")))
	r.until(false, "broker/default/a", "broker/default/a2")
	r.until(true, "broker/default/a", "broker/default/a2")
}

// Editors write a new file and rename it over the old one.
func TestFollowsRenames(t *testing.T) {
	r := run(t, t.TempDir(), never)
	r.write("a.yaml", brokerYAML("a"))
	r.until(true, "broker/default/a")
	r.write(".a.yaml.swp", brokerYAML("b"))
	must(t, os.Rename(filepath.Join(r.dir, ".a.yaml.swp"), filepath.Join(r.dir, "a.yaml")))
	r.until(true, "broker/default/b")
}

func TestFollowsFolders(t *testing.T) {
	r := run(t, t.TempDir(), never)
	must(t, os.MkdirAll(filepath.Join(r.dir, "team", "deeper"), 0o700))
	r.write("team/a.yaml", brokerYAML("a"))
	r.write("team/deeper/x.yaml", brokerYAML("too-deep"))
	r.until(true, "broker/default/a")
	r.write("team/a.yaml", brokerYAML("b"))
	r.until(true, "broker/default/b")
	must(t, os.RemoveAll(filepath.Join(r.dir, "team")))
	r.until(false)
	must(t, os.Mkdir(filepath.Join(r.dir, "team"), 0o700))
	r.write("team/a.yaml", brokerYAML("c"))
	r.until(true, "broker/default/c")
	r.write("team/a.yaml", brokerYAML("d"))
	r.until(true, "broker/default/d")
}

// Kubernetes mounts a ConfigMap as links through ..data, and changes all files
// at once by renaming a new ..data over the old one.
func TestFollowsConfigMap(t *testing.T) {
	dir := t.TempDir()
	version := func(name, broker string) {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name, "a.yaml"), []byte(brokerYAML(broker)), 0o600))
		must(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..2026_01", "a")
	must(t, os.Symlink(filepath.Join("..data", "a.yaml"), filepath.Join(dir, "a.yaml")))
	r := run(t, dir, never)
	r.until(true, "broker/default/a")
	version("..2026_02", "b")
	must(t, os.RemoveAll(filepath.Join(dir, "..2026_01")))
	r.until(true, "broker/default/b")
}

func TestBrokenFileKeepsTheLastGoodOne(t *testing.T) {
	r := run(t, t.TempDir(), never)
	r.write("a.yaml", brokerYAML("a")+triggerYAML("t", "a", ""))
	r.until(true, "broker/default/a: trigger/default/t")
	r.write("a.yaml", "{")
	r.write("b.yaml", brokerYAML("b"))
	r.until(false, "broker/default/a: trigger/default/t", "broker/default/b")
	if p := problems(r.last); len(p) != 1 || !strings.HasPrefix(p[0], filepath.Join(r.dir, "a.yaml")+": document 1") {
		t.Errorf("the problems are %q", p)
	}
	r.write("a.yaml", brokerYAML("a"))
	r.until(true, "broker/default/a", "broker/default/b")
}

// A link to a file elsewhere notifies of nothing: it is found by looking.
func TestPolls(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "x")
	must(t, os.WriteFile(elsewhere, []byte(brokerYAML("a")), 0o600))
	dir := t.TempDir()
	must(t, os.Symlink(elsewhere, filepath.Join(dir, "a.yaml")))
	r := run(t, dir, 10*time.Millisecond)
	r.until(true, "broker/default/a")
	must(t, os.WriteFile(elsewhere, []byte(brokerYAML("b")), 0o600))
	r.until(true, "broker/default/b")
}

// A folder that is replaced under its path is followed on.
func TestFolderThatComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "manifests")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(brokerYAML("a")), 0o600))
	r := run(t, dir, 10*time.Millisecond)
	r.until(true, "broker/default/a")
	must(t, os.Rename(dir, dir+".old"))
	r.until(false, "broker/default/a")
	must(t, os.Mkdir(dir, 0o700))
	r.write("a.yaml", brokerYAML("b"))
	r.until(true, "broker/default/b")
}

func TestFilesThatAreNotRead(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "large.yaml"), make([]byte, maxFileSize+1), 0o600))
	must(t, os.Symlink("gone", filepath.Join(dir, "link.yaml")))
	must(t, os.Symlink("/dev/zero", filepath.Join(dir, "zero.yaml")))
	must(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(brokerYAML("a")), 0o600))
	r := run(t, dir, never)
	r.until(false, "broker/default/a")
	want := []string{
		filepath.Join(dir, "large.yaml") + ": it is larger than 4 MiB: split it up",
		filepath.Join(dir, "link.yaml") + ": cannot be read: no such file or directory",
		filepath.Join(dir, "zero.yaml") + ": it is no regular file",
	}
	if got := problems(r.last); !slices.Equal(got, want) {
		t.Errorf("the problems are %q, want %q", got, want)
	}
}

func TestFolderThatDoesNotExist(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	err := newSource(t, dir).Run(context.Background(), func(*routing.Table) { t.Error("a table was published") })
	want := "the folder of manifests " + dir + ": cannot be read: no such file or directory: create it or name another one"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if err := newSource(t, file).Run(context.Background(), func(*routing.Table) {}); err == nil || !strings.Contains(err.Error(), "is no folder") {
		t.Errorf("got %v for a file", err)
	}
}

func TestBaseURL(t *testing.T) {
	for _, base := range []string{"localhost:8080", "http://", "ftp://x", "http://x/path", "http://[", "/"} {
		if _, err := New(Options{BaseURL: base}); err == nil {
			t.Errorf("%q was taken", base)
		}
	}
	if _, err := New(Options{BaseURL: "https://leat.example.org/"}); err != nil {
		t.Error(err)
	}
}

// The examples are what a newcomer copies.
func TestExamples(t *testing.T) {
	s := begin(t)
	table, _ := s.tables.next(look("../../../examples"), s.now)
	if p := problems(table); len(p) != 0 {
		t.Errorf("the examples have problems: %q", p)
	}
	if len(table.Streams) == 0 {
		t.Error("the examples have no stream")
	}
}
