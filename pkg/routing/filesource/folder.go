package filesource

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of what is read, so that a wrong folder cannot exhaust the memory.
const (
	maxFileSize   = 4 << 20
	maxFolderSize = 64 << 20
	maxFiles      = 1000
	// maxDocuments are those of one file and those of the folder.
	maxDocuments = 50_000
)

// file is a manifest as it is now, or why it cannot be read.
type file struct {
	path string
	data []byte
	hash [sha256.Size]byte
	err  error
}

// snapshot is a folder as it is now.
type snapshot struct {
	files []file // in the order of their paths
	size  int    // of all files together
}

// look reads the manifests of a folder and of the folders in it, one level
// deep. Names that begin with a dot are left out.
func look(dir string) snapshot {
	s := snapshot{}
	s.folder(dir, true)
	return s
}

func (s *snapshot) folder(dir string, deeper bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.files = append(s.files, file{path: dir, err: cause(err)})
		return
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if hidden(entry) {
			continue
		}
		info, err := os.Stat(path) // follows links
		switch {
		case err == nil && info.IsDir():
			if deeper {
				s.folder(path, false)
			}
		case !isManifest(entry.Name()):
		case len(s.files) >= maxFiles || s.size >= maxFolderSize:
			err := fmt.Errorf("there are more than %d files or %d MiB: the rest is left out", maxFiles, maxFolderSize>>20)
			s.files = append(s.files, file{path: dir, err: err})
			return
		case err != nil:
			s.files = append(s.files, file{path: path, err: cause(err)})
		default:
			f := readFile(path, info)
			s.files, s.size = append(s.files, f), s.size+len(f.data)
		}
	}
}

// hidden are editors' files, and the folders that Kubernetes keeps behind the
// links of a mounted ConfigMap.
func hidden(entry fs.DirEntry) bool { return strings.HasPrefix(entry.Name(), ".") }

// folders is dir and those in it that look goes into.
func folders(dir string) []string {
	list := []string{dir}
	entries, _ := os.ReadDir(dir) // look tells of the error
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(path); err == nil && info.IsDir() && !hidden(entry) {
			list = append(list, path)
		}
	}
	return list
}

func isManifest(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

func readFile(path string, info fs.FileInfo) file {
	f := file{path: path}
	if !info.Mode().IsRegular() {
		f.err = errors.New("it is no regular file")
		return f
	}
	if f.data, f.err = readAll(path); f.err == nil {
		f.hash = sha256.Sum256(f.data)
	}
	return f
}

func readAll(path string) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = r.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("it is larger than %d MiB: split it up", maxFileSize>>20)
	}
	return data, nil
}

// cause leaves the path out of an error: a Problem names it anyway.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return fmt.Errorf("cannot be read: %w", pathErr.Err)
	}
	return err
}
