package client

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

// root is the repository's.
const root = "../.."

// readme is what the README says under a heading.
func readme(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// commands are the shell's lines of the section's blocks.
func commands(section string) (lines []string) {
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		joined := strings.ReplaceAll(m[1], "\\\n", " ")
		for line := range strings.Lines(joined) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// The README's commands are executed, with other ports and folders, and do what
// it says of them.
func TestReadme(t *testing.T) {
	lines := commands(readme(t, "Use it"))
	if len(lines) < 5 || lines[0] != "make build" {
		t.Fatalf("the commands of the README are %q", lines)
	}
	shipping := harness.NewSubscriber(t, nil)
	leat := serve(t, lines[1], shipping)
	var outputs []string
	for _, line := range lines[2:] {
		outputs = append(outputs, shell(t, leat, line))
	}
	all := strings.Join(outputs, "\n")
	if !strings.Contains(outputs[0], "202 Accepted") {
		t.Errorf("the event is not answered with 202 Accepted:\n%s", outputs[0])
	}
	if !strings.Contains(all, `"name": "orders"`) || !strings.Contains(all, "default/orders") {
		t.Errorf("the streams are not shown:\n%s", all)
	}
	if got := shipping.WaitEvent(t, "1"); string(got.Body) != `{"item": "bread", "count": 2}` {
		t.Errorf("the event came with %s", got.Body)
	}
	shell(t, leat, "bin/leat dead-letters")
}

// serve runs the README's leat serve, with the examples' Services leading to
// the subscriber.
func serve(t *testing.T, line string, sub *harness.Subscriber) *harness.Process {
	t.Helper()
	args, ok := strings.CutPrefix(line, "bin/leat serve ")
	if !ok {
		t.Fatalf("the README's second command is %q", line)
	}
	flags := flag.NewFlagSet(line, flag.ContinueOnError)
	manifests := flags.String("manifests", "manifests", "")
	_ = flags.String("data", "data", "")
	if err := flags.Parse(strings.Fields(args)); err != nil || flags.NArg() > 0 {
		t.Fatalf("%s: %v; this test knows --manifests and --data", line, err)
	}
	p, err := harness.Run(harness.Config{Manifests: copyManifests(t, filepath.Join(root, *manifests), sub), Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

var portLine = regexp.MustCompile(`port: \d+`)

func copyManifests(t *testing.T, from string, sub *harness.Subscriber) string {
	t.Helper()
	u, err := url.Parse(sub.URL)
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", from, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := harness.WriteManifest(to, filepath.Base(f), portLine.ReplaceAllString(string(text), "port: "+u.Port())); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// shell runs a line as the README's reader would, and returns its output.
func shell(t *testing.T, leat *harness.Process, line string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Executable, filepath.Join(dir, "bin", "leat")); err != nil {
		t.Fatal(err)
	}
	run := strings.NewReplacer("http://localhost:8080", leat.URL, "http://localhost:8081", leat.Admin).Replace(line)
	cmd := exec.Command("bash", "-euc", run)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LEAT_ADMIN="+strings.TrimPrefix(leat.Admin, "http://"), "PATH="+withCurl(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	t.Logf("%s\n%s", line, out)
	return string(out)
}

// withCurl is a PATH on which there is a curl.
func withCurl(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PATH")
	if _, err := exec.LookPath("curl"); err == nil {
		return path
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "curl")); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s%c%s", dir, os.PathListSeparator, path)
}
