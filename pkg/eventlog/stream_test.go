package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestAppendReadTrim(t *testing.T) {
	fs := vfs.NewMem()
	l := openLog(t, fs)
	s := openStream(t, l, "s")
	wantStream(t, s, "1..0:")
	if first := mustAppend(t, s, "a"); first != 1 {
		t.Errorf("the first record has seq %d", first)
	}
	if first := mustAppend(t, s, "b", "c", "d"); first != 2 {
		t.Errorf("the batch begins at seq %d, want 2", first)
	}
	wantStream(t, s, "1..4: 1=a 2=b 3=c 4=d")
	if _, err := s.Append(context.Background(), nil); err == nil {
		t.Error("an append of nothing has no seq but succeeds")
	}
	mustTrim(t, s, 3)
	wantStream(t, s, "3..4: 3=c 4=d")
	mustTrim(t, s, 2) // never back
	wantStream(t, s, "3..4: 3=c 4=d")
	mustTrim(t, s, 100) // at most all there are
	wantStream(t, s, "5..4:")

	closeLog(t, l)
	l = openLog(t, fs)
	s = openStream(t, l, "s")
	wantStream(t, s, "5..4:")
	mustAppend(t, s, "e")
	wantStream(t, s, "5..5: 5=e")
}

func TestReadBounds(t *testing.T) {
	for _, tail := range []int{1 << 20, 1} { // from memory, from disk
		l, err := Open(testDir, Options{FS: vfs.NewMem(), TailBytes: tail})
		if err != nil {
			t.Fatal(err)
		}
		defer closeLog(t, l)
		s := openStream(t, l, "s")
		mustAppend(t, s, "aaaa", "bbbb", "cccc", "dddd", "")
		mustTrim(t, s, 2)
		for _, tt := range []struct {
			from                 uint64
			maxRecords, maxBytes int
			want                 string
		}{
			{0, 10, 100, "2 3 4 5"},
			{1, 10, 100, "2 3 4 5"},
			{3, 10, 100, "3 4 5"},
			{5, 10, 100, "5"},
			{6, 10, 100, ""},
			{1 << 62, 10, 100, ""},
			{^uint64(0), 10, 100, ""},
			{2, 2, 100, "2 3"},
			{2, 0, 100, ""},
			{2, -1, 100, ""},
			{2, 10, 1, "2"}, // never stuck on a large record
			{2, 10, 4, "2"},
			{2, 10, 5, "2 3"},
			{2, 10, 0, ""},
		} {
			records, err := s.Read(nil, tt.from, tt.maxRecords, tt.maxBytes)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range records {
				got = append(got, fmt.Sprint(r.Seq))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("tail %d: Read(%d, %d, %d) is %v, want %s", tail, tt.from, tt.maxRecords, tt.maxBytes, got, tt.want)
			}
		}
		kept := make([]Record, 1, 10)
		if got, _ := s.Read(kept, 2, 1, 10); len(got) != 2 || &got[0] != &kept[0] {
			t.Errorf("tail %d: Read does not append to what it was given", tail)
		}
	}
}

// Of a removed stream nothing is left on the disk but that its number was used:
// what was left would take its room for ever.
func TestRemovedStreamLeavesNothing(t *testing.T) {
	l := openLog(t, vfs.NewMem())
	ctx := context.Background()
	s := openStream(t, l, "s")
	mustAppend(t, s, "a", "b", "c")
	mustTrim(t, s, 2)
	if err := l.SetMarks(ctx, MarkSet{s, []Mark{mark("m", "1")}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	iter, err := l.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for iter.First(); iter.Valid(); iter.Next() {
		if string(iter.Key()) != string(rune(keyNextID)) {
			t.Errorf("the key %q is left", iter.Key())
		}
	}
	if err := iter.Close(); err != nil {
		t.Error(err)
	}
}

func TestRemovedStreamStartsAfresh(t *testing.T) {
	fs := vfs.NewMem()
	l := openLog(t, fs)
	ctx := context.Background()
	old := openStream(t, l, "s")
	other := openStream(t, l, "s2")
	mustAppend(t, old, "a", "b")
	mustAppend(t, other, "x")
	mustTrim(t, old, 2)
	for _, s := range []*Stream{old, other} {
		if err := l.SetMarks(ctx, MarkSet{s, []Mark{mark("m", "1")}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second removes what is not there
		if err := l.Remove(ctx, "s"); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.Streams(); !slices.Equal(got, []string{"s2"}) {
		t.Errorf("streams are %q, want s2", got)
	}
	if _, err := old.Append(ctx, entries("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("Append to a removed stream: %v, want ErrClosed", err)
	}
	if err := old.Trim(ctx, 3); !errors.Is(err, ErrClosed) {
		t.Errorf("Trim of a removed stream: %v, want ErrClosed", err)
	}
	if _, err := old.Read(nil, 1, 10, 10); !errors.Is(err, ErrClosed) {
		t.Errorf("Read of a removed stream: %v, want ErrClosed", err)
	}
	if err := l.SetMarks(ctx, MarkSet{old, []Mark{mark("m", "late")}}); err != nil {
		t.Errorf("marks of a removed stream are dropped, but: %v", err)
	}

	s := openStream(t, l, "s")
	if s == old || s.id <= old.id || s.id == other.id {
		t.Errorf("id %d is used again after %d", s.id, old.id)
	}
	wantStream(t, s, "1..0:")
	if got := marks(t, s, ""); got != "" {
		t.Errorf("marks of the first life: %q", got)
	}
	mustAppend(t, s, "c")
	closeLog(t, l)

	l = openLog(t, fs)
	wantStream(t, openStream(t, l, "s"), "1..1: 1=c")
	wantStream(t, openStream(t, l, "s2"), "1..1: 1=x")
	if got := marks(t, openStream(t, l, "s2"), ""); got != "m=1 " {
		t.Errorf("the other stream's marks are %q", got)
	}
	if n := openStream(t, l, "s3"); n.id <= s.id {
		t.Errorf("after a restart id %d is used again after %d", n.id, s.id)
	}
}

func TestMarks(t *testing.T) {
	fs := vfs.NewMem()
	l := openLog(t, fs)
	a, b := openStream(t, l, "a"), openStream(t, l, "b")
	set := func(sets ...MarkSet) {
		t.Helper()
		if err := l.SetMarks(context.Background(), sets...); err != nil {
			t.Fatal(err)
		}
	}
	set(MarkSet{a, []Mark{mark("y", "1"), mark("x/2", "2"), mark("x/1", "1"), mark("\xff\xff", "end")}},
		MarkSet{b, []Mark{mark("x/1", "b")}})
	set(MarkSet{a, []Mark{mark("x/2", "3"), mark("y", ""), mark("never", "")}})
	set()
	for range 2 {
		if got, want := marks(t, a, ""), "x/1=1 x/2=3 \xff\xff=end "; got != want {
			t.Errorf("all marks are %q, want %q", got, want)
		}
		if got, want := marks(t, a, "x/"), "x/1=1 x/2=3 "; got != want {
			t.Errorf("marks x/ are %q, want %q", got, want)
		}
		if got, want := marks(t, a, "\xff"), "\xff\xff=end "; got != want {
			t.Errorf("marks ff are %q, want %q", got, want)
		}
		if got, want := marks(t, b, ""), "x/1=b "; got != want {
			t.Errorf("b's marks are %q, want %q", got, want)
		}
		closeLog(t, l)
		l = openLog(t, fs)
		a, b = openStream(t, l, "a"), openStream(t, l, "b")
	}
	want := errors.New("enough")
	calls := 0
	err := a.Marks(nil, func(_, _ []byte) error { calls++; return want })
	if !errors.Is(err, want) || calls != 1 {
		t.Errorf("f's error came back as %v after %d calls", err, calls)
	}
}

// Whatever is in the tail reads as it does from disk.
func TestTailAgreesWithDisk(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	l, err := Open(testDir, Options{FS: vfs.NewMem(), TailBytes: 3000})
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog(t, l)
	streams := []*Stream{openStream(t, l, "a"), openStream(t, l, "b"), openStream(t, l, "c")}
	for step := range 400 {
		s := streams[rnd.IntN(len(streams))]
		if rnd.IntN(10) == 0 {
			first, head := s.Bounds()
			mustTrim(t, s, first+rnd.Uint64N(head+2-first))
		} else {
			batch := make([]string, 1+rnd.IntN(4))
			for i := range batch {
				batch[i] = fmt.Sprintf("%d.%d %s", step, i, strings.Repeat("x", rnd.IntN(300)))
			}
			mustAppend(t, s, batch...)
		}
		first, head := s.Bounds()
		from, n, size := first+rnd.Uint64N(head+2-first), 1+rnd.IntN(10), 1+rnd.IntN(1000)
		got, err := s.Read(nil, from, n, size)
		if err != nil {
			t.Fatal(err)
		}
		var want []Record
		if from <= head {
			if want, err = s.readStored(nil, from, head, n, size); err != nil {
				t.Fatal(err)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("seed %d, step %d: Read(%d, %d, %d) is\n%v, on disk\n%v", seed, step, from, n, size, got, want)
		}
	}
	held := 0
	for _, s := range streams {
		for _, r := range s.recent {
			held += recordOverhead + len(r.Data)
		}
	}
	if held > 3000 {
		t.Errorf("the tail holds %d bytes, more than its budget of 3000", held)
	}
}

func TestOnDurableTellsEachRecordOnceInOrder(t *testing.T) {
	l := openLog(t, vfs.NewMem())
	s := openStream(t, l, "s")
	mustAppend(t, s, "before")
	told := ""
	s.OnDurable(func(records []Record) {
		_, head := s.Bounds()
		for _, r := range records {
			told += fmt.Sprintf("%d=%s ", r.Seq, r.Data)
			if r.Seq > head {
				t.Errorf("told of seq %d above the head %d", r.Seq, head)
			}
		}
	})
	mustAppend(t, s, "a")
	mustAppend(t, s, "b", "c")
	if want := "2=a 3=b 4=c "; told != want {
		t.Errorf("told of %q, want %q", told, want)
	}
}
