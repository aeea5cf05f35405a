package eventlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// folder is every file under dir with its bytes.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestOpenRefusesFoldersOfAnotherFormatUntouched(t *testing.T) {
	for _, text := range []string{
		"leat 2\n", "leat 999999\n", "leat 0\n", "leat -1\n", "leat 1x\n", "leat 1 2\n", "leat  1\n",
		"leat 99999999999999999999999\n", "", "\n", "leat", "leat \n", "LEAT 1\n", "\x00\x01garbage", strings.Repeat("leat 1\n", 100),
	} {
		dir := t.TempDir()
		l, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, openStream(t, l, "s"), "kept")
		closeLog(t, l)
		if err := os.WriteFile(filepath.Join(dir, formatFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := folder(t, dir)
		if l, err = Open(dir, Options{}); !errors.Is(err, ErrFormat) {
			t.Errorf("FORMAT %.20q: error %v, want ErrFormat", text, err)
			if err == nil {
				closeLog(t, l)
			}
			continue
		}
		after := folder(t, dir)
		if len(after) != len(before) {
			t.Errorf("FORMAT %.20q: %d files became %d", text, len(before), len(after))
		}
		for path, b := range before {
			if after[path] != b {
				t.Errorf("FORMAT %.20q: %s was changed", text, path)
			}
		}
	}
}

func TestOpenTakesItsOwnFormat(t *testing.T) {
	for _, text := range []string{"leat 1\n", "leat 1"} {
		fs := vfs.NewMem()
		closeLog(t, openLog(t, fs))
		f, err := fs.Create(fs.PathJoin(testDir, formatFile), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		closeLog(t, openLog(t, fs))
	}
}

func TestOpenLocked(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		l, err := Open(dir, Options{})
		if errors.Is(err, ErrLocked) {
			os.Exit(42)
		}
		if err == nil {
			err = l.Close()
		}
		t.Logf("opened, close says %v", err)
		return
	}
	dir := t.TempDir()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open in the process: %v, want ErrLocked", err)
	}
	other := func() int {
		code, _ := child(t, "TestOpenLocked", dir)
		return code
	}
	if code := other(); code != 42 {
		t.Errorf("Open in another process exits with %d, want 42 (ErrLocked)", code)
	}
	mustAppend(t, openStream(t, l, "s"), "still usable")
	closeLog(t, l)
	if code := other(); code != 0 {
		t.Errorf("after Close, Open in another process exits with %d, want 0", code)
	}
}

// The layout is a promise to every folder that exists: this test changes only
// together with formatVersion.
func TestKeys(t *testing.T) {
	put := make([]byte, recordKeyLen)
	putRecordKey(put, 7, 9)
	for _, tt := range []struct {
		name      string
		got, want []byte
	}{
		{"stream", nameKey("a/b"), []byte("sa/b")},
		{"record", recordKey(0x01020304, 0x05060708090a0b0c), []byte("r\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c")},
		{"record in place", put, recordKey(7, 9)},
		{"trim", idKey(keyTrim, 5), []byte("t\x00\x00\x00\x05")},
		{"mark", markKey(5, []byte("x")), []byte("k\x00\x00\x00\x05x")},
		{"end", prefixEnd([]byte("ab")), []byte("ac")},
		{"end behind ff", prefixEnd([]byte("a\xff\xff")), []byte("b")},
		{"no end", prefixEnd([]byte("\xff\xff")), nil},
	} {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func FuzzKeysSortAndHold(f *testing.F) {
	f.Add(uint32(1), uint64(1), uint32(1), uint64(2))
	f.Add(^uint32(0), ^uint64(0), uint32(0), uint64(0))
	f.Fuzz(func(t *testing.T, id1 uint32, seq1 uint64, id2 uint32, seq2 uint64) {
		a, b := recordKey(streamID(id1), seq1), recordKey(streamID(id2), seq2)
		if seqOf(a) != seq1 || binary.BigEndian.Uint32(a[1:]) != id1 {
			t.Fatalf("key %q does not hold id %d seq %d", a, id1, seq1)
		}
		want := 0
		switch {
		case id1 < id2 || id1 == id2 && seq1 < seq2:
			want = -1
		case id1 != id2 || seq1 != seq2:
			want = 1
		}
		if got := bytes.Compare(a, b); got != want {
			t.Fatalf("id %d seq %d sorts %d against id %d seq %d, want %d", id1, seq1, got, id2, seq2, want)
		}
		prefix := idKey(keyRecord, streamID(id1))
		inside := bytes.Compare(b, prefix) >= 0 && bytes.Compare(b, prefixEnd(prefix)) < 0
		if inside != (id1 == id2) {
			t.Fatalf("a key of stream %d counts as one of stream %d: %v", id2, id1, inside)
		}
	})
}

func TestNewFolderSurvivesAPowerCut(t *testing.T) {
	fs := vfs.NewCrashableMem()
	dir := "mount/a/new/data"
	if err := fs.MkdirAll("mount", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", "mount"} {
		if err := syncDir(fs, d); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(dir, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog(t, l)
	mustAppend(t, openStream(t, l, "s"), "kept")
	l, err = Open(dir, Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog(t, l)
	wantStream(t, openStream(t, l, "s"), "1..1: 1=kept")
}
