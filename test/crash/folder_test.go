package crash

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

// refused runs leat serve on a folder that it must not take, and checks that it
// ends with an error that says so.
func refused(t *testing.T, c harness.Config, says ...string) {
	t.Helper()
	p, err := harness.Launch(c)
	if err != nil {
		t.Fatal(err)
	}
	code, err := p.ExitCode()
	if err != nil {
		t.Fatal(err)
	}
	if code != 1 {
		t.Errorf("leat ended with %d, want 1", code)
	}
	for _, text := range says {
		if !strings.Contains(p.Log.String(), text) {
			t.Errorf("leat does not say %q:\n%s", text, p.Log)
		}
	}
}

func TestSecondProcessOnTheSameFolder(t *testing.T) {
	t.Parallel()
	sub := harness.NewSubscriber(t, nil)
	l := newLives(t, harness.Broker("orders"), harness.Trigger("all", "orders", sub.URL))
	l.start()
	refused(t, l.config, l.config.Data, "in use by another process")
	harness.Send(t, l.URL+orders, harness.Event("1"))
	sub.WaitEvent(t, "1")
	l.stop()
}

func TestFolderOfANewerVersionIsNotTouched(t *testing.T) {
	t.Parallel()
	l := newLives(t, harness.Broker("orders"))
	l.start()
	harness.Send(t, l.URL+orders, harness.Event("1"))
	l.stop()
	format := filepath.Join(l.config.Data, "FORMAT")
	if err := os.WriteFile(format, []byte("leat 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, l.config.Data)
	refused(t, l.config, format, "version 2", "newer")
	if after := contents(t, l.config.Data); !maps.Equal(before, after) {
		t.Errorf("the folder was touched; files before: %d, after: %d", len(before), len(after))
	}
}

// contents are the files of a folder with their times and bytes.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := []byte{}
		if !d.IsDir() {
			if text, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		files[path] = info.Mode().String() + info.ModTime().String() + string(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
