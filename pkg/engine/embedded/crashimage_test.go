package embedded

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// keepImage copies what a power cut has left to a folder outside of the test's,
// so that a failure that comes once in thousands of runs can be looked into.
func keepImage(image *vfs.MemFS) (string, error) {
	dir, err := os.MkdirTemp("", "leat-crash-")
	if err != nil {
		return "", err
	}
	return dir, copyFolder(image, "data", dir)
}

func copyFolder(fs vfs.FS, from, to string) error {
	names, err := fs.List(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		source, target := fs.PathJoin(from, name), filepath.Join(to, name)
		info, err := fs.Stat(source)
		switch {
		case err != nil:
		case info.IsDir():
			err = errors.Join(os.Mkdir(target, 0o700), copyFolder(fs, source, target))
		default:
			err = copyFile(fs, source, target)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(fs vfs.FS, from, to string) error {
	f, err := fs.Open(from)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	return errors.Join(err, f.Close(), os.WriteFile(to, data, 0o600))
}
