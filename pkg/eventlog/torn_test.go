package eventlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lastLogOf is the newest write-ahead file and what it holds.
func lastLogOf(t *testing.T, fs vfs.FS) (path string, content []byte) {
	t.Helper()
	name, _, err := lastLog(fs, "data/log")
	if err != nil {
		t.Fatal(err)
	}
	path = fs.PathJoin("data/log", name)
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	content, err = io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// A power cut takes the end of a block of the write-ahead file, and not the next
// block: what lay behind the lost record is never taken without it, wherever in
// the block that began, and also in a folder that is new.
func TestTornBeforeABlocksEnd(t *testing.T) {
	for left := 8; left < 48; left++ {
		disk := vfs.NewCrashableMem()
		l := openLog(t, disk)
		s := openStream(t, l, "s")
		fill := func(size int) int {
			t.Helper()
			mustAppend(t, s, strings.Repeat("x", size))
			_, content := lastLogOf(t, disk)
			return len(content)
		}
		fill(30_000)
		overhead := -fill(200) + fill(200) - 200
		_, content := lastLogOf(t, disk)
		if got := fill(blockSize - left - len(content) - overhead); got != blockSize && got != blockSize-left {
			t.Fatalf("the file has %d bytes, want %d in front of the block's end", got, left)
		}
		mustAppend(t, s, strings.Repeat("lost", 30))
		mustAppend(t, s, "behind")
		image := disk.CrashClone(vfs.CrashCloneCfg{})
		closeLog(t, l)

		path, content := lastLogOf(t, image)
		clear(content[blockSize-left : blockSize])
		f, err := image.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.Copy(f, bytes.NewReader(content)); errors.Join(err, f.Close()) != nil {
			t.Fatal(err)
		}
		l, err = Open("data", Options{FS: image})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("with %d bytes left: %v", left, err)
			}
			continue
		}
		s, err = l.Stream(context.Background(), "s")
		if err != nil {
			t.Fatal(err)
		}
		if records, err := s.Read(nil, 1, 100, 1<<20); err != nil {
			t.Errorf("with %d bytes left, after %d records: %v", left, len(records), err)
		}
		closeLog(t, l)
	}
}
