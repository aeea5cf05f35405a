package admin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// fill appends events to the broker and keeps those from first on; it returns
// when each came in.
func (w *world) fill(n int, first engine.Seq) map[engine.Seq]time.Time {
	w.t.Helper()
	ctx := w.t.Context()
	s, err := w.engine.Stream(ctx, engine.StreamSpec{Name: broker.String(), Retention: engine.KeepForever})
	if err != nil {
		w.t.Fatal(err)
	}
	for range n {
		if _, err := s.Append(ctx, engine.Payload{Data: []byte("event")}); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // so that the next one is later
	}
	records, err := s.Read(ctx, 1, n)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := s.TrimTo(ctx, first); err != nil {
		w.t.Fatal(err)
	}
	times := map[engine.Seq]time.Time{}
	for _, r := range records {
		times[r.Seq] = r.Time
	}
	return times
}

func TestSeek(t *testing.T) {
	w := newWorld(t)
	times := w.fill(9, 4)
	var asked []engine.Seq
	w.seek = func(s routing.StreamName, route string, to engine.Seq) (engine.Sought, error) {
		if s != broker || route != routeID {
			t.Errorf("moved is %s of %s", route, s)
		}
		asked = append(asked, to)
		return engine.Sought{Place: max(4, min(to, 10)), Skipped: 2, Again: 3}, nil
	}
	for _, tc := range []struct {
		to    string
		place engine.Seq
	}{
		{"earliest", 4}, {"latest", 10}, {"4", 4}, {"7", 7}, {"10", 10},
		{times[6].Format(time.RFC3339Nano), 6},
		{times[6].Add(1).In(time.FixedZone("", 3600)).Format(time.RFC3339Nano), 7},
		{times[1].Format(time.RFC3339Nano), 4},
		{"2999-01-01T00:00:00Z", 10},
	} {
		asked = nil
		got, err := w.client.Seek(t.Context(), ref, "a", tc.to)
		if err != nil || len(asked) != 1 || got.Place != tc.place || got.Skipped != 2 || got.Again != 3 {
			t.Errorf("to %s: got %+v, %v, asked for %d; want %d", tc.to, got, err, asked, tc.place)
		}
		if tc.place < 10 && (got.PlaceTime == nil || !got.PlaceTime.Equal(times[tc.place])) || tc.place == 10 && got.PlaceTime != nil {
			t.Errorf("to %s: its time is %v", tc.to, got.PlaceTime)
		}
	}
}

func TestSeekRefused(t *testing.T) {
	w := newWorld(t)
	w.fill(9, 4)
	w.seek = func(routing.StreamName, string, engine.Seq) (engine.Sought, error) {
		t.Error("it was moved")
		return engine.Sought{}, nil
	}
	for _, tc := range []struct {
		route, to string
		status    int
		message   string
	}{
		{"a", "", 400, "earliest, latest, a seq, or a time"},
		{"a", strings.Repeat("1", 100), 400, "earliest"},
		{"a", "yesterday", 400, `"yesterday" is no place`},
		{"a", "-1", 400, "is no place"},
		{"a", "18446744073709551615", 400, "is no place"},
		{"a", "3", 409, "the event 3 is not kept, the oldest is 4"},
		{"a", "0", 409, "the oldest is 4"},
		{"a", "11", 409, "there is no event 11 yet, the newest is 9"},
		{"nobody", "1", 404, "there is no route nobody"},
		{"lost", "4", 409, "not served yet"},
	} {
		_, err := w.client.Seek(t.Context(), ref, tc.route, tc.to)
		var refused *Error
		if !errors.As(err, &refused) || refused.Status != tc.status || !strings.Contains(refused.Message, tc.message) {
			t.Errorf("%s to %q: got %v, want %d %s", tc.route, tc.to, err, tc.status, tc.message)
		}
	}
	if _, err := w.client.Seek(t.Context(), StreamRef{"broker", "ns", "none"}, "a", "1"); err == nil {
		t.Error("a route of no broker was moved")
	}
	w.fill(1, 99)
	if _, err := w.client.Seek(t.Context(), ref, "a", "10"); err == nil || !strings.Contains(err.Error(), "no other is; the next one will be 11") {
		t.Errorf("got %v", err)
	}
}

func TestSeekFails(t *testing.T) {
	w := newWorld(t)
	w.fill(1, 1)
	w.seek = func(routing.StreamName, string, engine.Seq) (engine.Sought, error) {
		return engine.Sought{}, errors.New("the log failed")
	}
	var refused *Error
	if _, err := w.client.Seek(t.Context(), ref, "a", "earliest"); !errors.As(err, &refused) || refused.Status != 500 {
		t.Errorf("got %v", err)
	}
}
