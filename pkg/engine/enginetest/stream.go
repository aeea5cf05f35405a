package enginetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"leat.dev/leat/pkg/engine"
)

func testAppend(w *world) {
	before := time.Now()
	s, other := w.stream("s"), w.stream("other")
	if first := w.append(s, "a"); first != 1 {
		w.Errorf("the first record has seq %d", first)
	}
	if first := w.append(s, "b", "c", "d"); first != 2 {
		w.Errorf("the batch begins at seq %d, want 2", first)
	}
	if first := w.append(other, "x"); first != 1 {
		w.Errorf("the other stream's first record has seq %d", first)
	}
	if _, err := s.Append(w.ctx); err == nil {
		w.Error("an append of nothing has no seq, but succeeds")
	}
	w.wantTexts(s, "1=a 2=b 3=c 4=d")
	records, err := s.Read(w.ctx, 1, 10)
	w.no(err, "Read")
	for _, r := range records {
		if r.Time.Before(before.Add(-time.Second)) || r.Time.After(time.Now().Add(time.Second)) {
			w.Errorf("seq %d was appended at %v, it is %v", r.Seq, r.Time, time.Now())
		}
	}
	w.reopen()
	w.wantTexts(w.stream("s"), "1=a 2=b 3=c 4=d")
	if first := w.append(w.stream("s"), "e"); first != 5 {
		w.Errorf("after a restart the next seq is %d, want 5", first)
	}
}

// Batches stay whole and in order, every seq is given once.
func testAppendConcurrently(w *world) {
	s := w.stream("s")
	var mu sync.Mutex
	want := map[engine.Seq]string{}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 30 {
				texts := []string{fmt.Sprintf("%d/%d.0", i, j), fmt.Sprintf("%d/%d.1", i, j), fmt.Sprintf("%d/%d.2", i, j)}[:1+j%3]
				payloads := make([]engine.Payload, len(texts))
				for k := range texts {
					payloads[k] = payload(texts[k])
				}
				first, err := s.Append(w.ctx, payloads...)
				if err != nil {
					w.Errorf("Append: %v", err)
					return
				}
				mu.Lock()
				for k, text := range texts {
					want[first+engine.Seq(k)] = text
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for range 2 {
		records, err := s.Read(w.ctx, 1, 10_000)
		w.no(err, "Read")
		if len(records) != len(want) {
			w.Fatalf("%d records, appended were %d", len(records), len(want))
		}
		for i, r := range records {
			if r.Seq != engine.Seq(i+1) || want[r.Seq] != string(r.Data) {
				w.Fatalf("record %d is %d=%s, appended was %s", i+1, r.Seq, r.Data, want[r.Seq])
			}
		}
		w.reopen()
		s = w.stream("s")
	}
}

func testRead(w *world) {
	s := w.stream("s")
	w.append(s, "a", "b", "c", "d")
	for _, tt := range []struct {
		from  engine.Seq
		limit int
		want  string
	}{
		{0, 10, "1=a 2=b 3=c 4=d"}, {1, 2, "1=a 2=b"}, {3, 10, "3=c 4=d"}, {4, 1, "4=d"},
		{5, 10, ""}, {1 << 60, 10, ""}, {1, 0, ""},
	} {
		if got := w.texts(s, tt.from, tt.limit); got != tt.want {
			w.Errorf("Read(%d, %d) is %s, want %s", tt.from, tt.limit, got, tt.want)
		}
	}
	w.no(s.TrimTo(w.ctx, 3), "TrimTo")
	w.eventually("the oldest record kept is 3", func() bool { return w.texts(s, 1, 1) == "3=c" })
}

func testReadNeverPassesTheHead(w *world) {
	s := w.stream("s")
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() {
		defer close(done)
		for i := range 300 {
			w.append(s, fmt.Sprint(i), fmt.Sprint(i))
		}
	})
	for seen := engine.Seq(0); ; {
		records, err := s.Read(w.ctx, seen+1, 100)
		w.no(err, "Read")
		_, head := w.bounds(s)
		for _, r := range records {
			if r.Seq != seen+1 || r.Seq > head {
				w.Fatalf("seq %d was read after %d, at head %d", r.Seq, seen, head)
			}
			seen = r.Seq
		}
		select {
		case <-done:
			all.Wait()
			return
		default:
		}
	}
}

func testNames(w *world) {
	if _, err := w.engine.Stream(w.ctx, engine.StreamSpec{}); err == nil {
		w.Error("a stream without a name is opened")
	}
	for _, name := range []string{"broker/default/b", "a", "broker/default/a", "a/b", "dead/x y/ü"} {
		w.stream(name)
	}
	want := []string{"a", "a/b", "broker/default/a", "broker/default/b", "dead/x y/ü"}
	for range 2 {
		got, err := w.engine.Streams(w.ctx)
		w.no(err, "Streams")
		if !slices.Equal(got, want) {
			w.Errorf("streams are %q, want %q", got, want)
		}
		w.reopen()
	}
	s := w.stream("a")
	for _, spec := range []engine.ConsumerSpec{{MaxInFlight: 1}, {Name: "c"}, {Name: "c", MaxInFlight: -1}} {
		if _, err := s.Consumer(w.ctx, spec); err == nil {
			w.Errorf("the consumer %+v is opened", spec)
		}
	}
	w.consumer(s, "b")
	w.consumer(s, "a")
	w.consumer(s, "a/b c")
	for range 2 {
		got, err := w.stream("a").Consumers(w.ctx)
		w.no(err, "Consumers")
		if want := []string{"a", "a/b c", "b"}; !slices.Equal(got, want) {
			w.Errorf("consumers are %q, want %q", got, want)
		}
		w.reopen()
	}
}

func testStreamState(w *world) {
	s := w.stream("s")
	want := func(first, head engine.Seq, oldest time.Time) {
		w.Helper()
		st, err := s.State(w.ctx)
		w.no(err, "State")
		if st.First != first || st.Head != head || !st.Oldest.Equal(oldest) {
			w.Errorf("state is %+v, want %d..%d, oldest %v", st, first, head, oldest)
		}
	}
	want(1, 0, time.Time{})
	w.append(s, "a", "b", "c")
	records, err := s.Read(w.ctx, 1, 10)
	w.no(err, "Read")
	want(1, 3, records[0].Time)
	w.no(s.TrimTo(w.ctx, 3), "TrimTo")
	w.eventually("trimmed to 3", func() bool { first, _ := w.bounds(s); return first == 3 })
	want(3, 3, records[2].Time)
	w.no(s.TrimTo(w.ctx, 100), "TrimTo")
	w.eventually("trimmed to the end", func() bool { first, _ := w.bounds(s); return first == 4 })
	want(4, 3, time.Time{})
	w.reopen()
	s = w.stream("s")
	want(4, 3, time.Time{})
}

func testReopen(w *world) {
	s := w.stream("s")
	w.append(s, "a", "b")
	if again := w.stream("s"); again != s {
		w.Error("an open stream is opened a second time")
	}
	w.reopen()
	w.wantTexts(w.stream("s"), "1=a 2=b")
	w.reopen()
	w.reopen()
	w.wantTexts(w.stream("s"), "1=a 2=b")
}
