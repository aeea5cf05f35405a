package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/cursor"
	"leat.dev/leat/pkg/eventlog"
)

// A retry is parked for an hour; then the process dies and another starts, after
// which both clocks may say anything.
func TestRetrySurvivesClocks(t *testing.T) {
	const hour = int64(time.Hour)
	wall := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	for _, tt := range []struct {
		name     string
		now      int64 // by the new process's clock
		wall     int64 // by the wall clock then
		wantLeft int64
	}{
		{"at once", 0, wall, hour},
		{"a quarter of an hour later", 5, wall + hour/4, hour - hour/4},
		{"the clock of a process that runs for long", 100 * hour, wall + hour/4, hour - hour/4},
		{"two hours later", 7, wall + 2*hour, 0},
		{"the wall clock was set back by a year", 7, wall - 365*24*hour, hour},
		{"the wall clock was set back by a second", 7, wall - int64(time.Second), hour},
		{"the wall clock is at 1970", 7, 0, hour},
		{"the wall clock is far away", 7, math.MaxInt64 / 2, 0},
	} {
		const parkedAt = int64(12345)
		saved := encodeUnsettled(cursor.Unsettled{
			Lane: 7, Attempt: 3, Parked: true, Due: parkedAt + hour, After: hour,
		}, wall-parkedAt)
		u := decodeUnsettled(9, saved, tt.now, tt.wall-tt.now)
		want := cursor.Unsettled{Seq: 9, Lane: 7, Attempt: 3, Parked: true, Due: tt.now + tt.wantLeft, After: hour}
		if u != want {
			t.Errorf("%s: %+v, want %+v", tt.name, u, want)
		}
	}
}

func TestRetryForeverSurvives(t *testing.T) {
	c := newClock(time.Now)
	saved := encodeUnsettled(cursor.Unsettled{Parked: true, Due: c.now() + cursor.Forever, After: cursor.Forever}, c.toWall())
	u := decodeUnsettled(1, saved, c.now(), c.toWall())
	if left := time.Duration(u.Due - c.now()); left < 70*365*24*time.Hour {
		t.Errorf("what was parked for ever is due in %v", left)
	}
}

func FuzzUnsettled(f *testing.F) {
	f.Add(uint64(1), uint64(0), uint32(0), false, int64(0), int64(0), int64(0), int64(0))
	f.Add(uint64(1), uint64(2), uint32(math.MaxUint32), true, int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64/4), int64(math.MaxInt64/2))
	f.Fuzz(func(t *testing.T, seq, lane uint64, attempt uint32, parked bool, due, after, now, toWall int64) {
		b := encodeUnsettled(cursor.Unsettled{Lane: lane, Attempt: int(attempt), Parked: parked, Due: due, After: after}, toWall)
		if len(b) != unsettledLen {
			t.Fatalf("%d bytes, want %d", len(b), unsettledLen)
		}
		now = min(max(now, 0), math.MaxInt64/4) // a process does not run for a century
		u := decodeUnsettled(seq, b, now, toWall)
		if u.Seq != seq || u.Lane != lane || u.Attempt != int(attempt) || u.Parked != parked {
			t.Fatalf("%+v", u)
		}
		if left := u.Due - now; left < 0 || left > max(after, 0) || left > cursor.Forever {
			t.Fatalf("due in %d, parked for %d", left, after)
		}
	})
}

// FuzzLoadProgress: hostile marks give an error or progress that keeps
// invariant 4, never a panic.
func FuzzLoadProgress(f *testing.F) {
	log, err := eventlog.Open("data", eventlog.Options{FS: vfs.NewMem()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := log.Close(); err != nil {
			f.Error(err)
		}
	})
	u64 := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	unsettled := encodeUnsettled(cursor.Unsettled{Lane: 1, Attempt: 2, Parked: true, Due: 5, After: 6}, 7)
	f.Add([]byte("c\x00n"), u64(4), append([]byte("c\x00u"), u64(3)...), unsettled)
	f.Add([]byte("c\x00n"), u64(99), []byte("c\x00n"), u64(0))
	f.Add([]byte("c\x00n"), u64(6), []byte("d\x00n"), u64(7))
	f.Add([]byte("c\x00u"), []byte{}, append([]byte("c\x00u"), u64(4)...), unsettled)
	f.Add([]byte("c"), []byte{1}, []byte{}, []byte{2})
	f.Add([]byte("\x00n"), u64(1), append([]byte("c\x00u"), u64(1)...), unsettled)
	n := 0
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 []byte) {
		n++
		ctx := context.Background()
		name := fmt.Sprint("s", n)
		s, err := log.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := log.Remove(ctx, name); err != nil {
				t.Fatal(err)
			}
		}()
		if _, err := s.Append(ctx, make([]eventlog.Entry, 5)); err != nil {
			t.Fatal(err)
		}
		if err := s.Trim(ctx, 3); err != nil {
			t.Fatal(err)
		}
		marks := []eventlog.Mark{{Key: key1, Value: append([]byte{}, value1...)}, {Key: key2, Value: append([]byte{}, value2...)}}
		if err := log.SetMarks(ctx, eventlog.MarkSet{Stream: s, Marks: marks}); err != nil {
			t.Fatal(err)
		}
		cursors, _, err := loadProgress(s, newClock(time.Now))
		if err != nil {
			return
		}
		for name, c := range cursors {
			if c.Floor() < 3 || c.Floor() > c.Next() || c.Next() > 6 {
				t.Fatalf("%q: invariant 4: floor %d, next %d in 3..5", name, c.Floor(), c.Next())
			}
		}
	})
}
