package eventlog

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const testDir = "data"

func openLog(t *testing.T, fs vfs.FS) *Log {
	t.Helper()
	l, err := Open(testDir, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func openStream(t *testing.T, l *Log, name string) *Stream {
	t.Helper()
	s, err := l.Stream(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entries makes one entry of each text, with a tag that repeats its beginning.
func entries(texts ...string) []Entry {
	all := make([]Entry, len(texts))
	for i, text := range texts {
		copy(all[i].Tag[:], text)
		all[i].Data = []byte(text)
	}
	return all
}

func mustAppend(t *testing.T, s *Stream, texts ...string) uint64 {
	t.Helper()
	first, err := s.Append(context.Background(), entries(texts...))
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func mustTrim(t *testing.T, s *Stream, seq uint64) {
	t.Helper()
	if err := s.Trim(context.Background(), seq); err != nil {
		t.Fatal(err)
	}
}

// show prints a stream: its bounds and what a reader finds in it.
func show(t *testing.T, s *Stream) string {
	t.Helper()
	records, err := s.Read(nil, 0, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	first, head := s.Bounds()
	text := fmt.Sprintf("%d..%d:", first, head)
	for _, r := range records {
		text += fmt.Sprintf(" %d=%s", r.Seq, r.Data)
		var tag Tag
		if copy(tag[:], r.Data); tag != r.Tag {
			t.Errorf("seq %d has the tag %q, want the beginning of %q", r.Seq, r.Tag, r.Data)
		}
	}
	return text
}

func wantStream(t *testing.T, s *Stream, want string) {
	t.Helper()
	if got := show(t, s); got != want {
		t.Errorf("stream %s is\n%s, want\n%s", s.Name(), got, want)
	}
}

func marks(t *testing.T, s *Stream, prefix string) string {
	t.Helper()
	text := ""
	err := s.Marks([]byte(prefix), func(key, value []byte) error {
		text += fmt.Sprintf("%s=%s ", key, value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mark(key, value string) Mark {
	m := Mark{Key: []byte(key)}
	if value != "" {
		m.Value = []byte(value)
	}
	return m
}
