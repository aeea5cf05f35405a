package enginetest

import (
	"math"
	"sync"
	"time"

	"leat.dev/leat/pkg/engine"
)

const latest = engine.Seq(math.MaxUint64)

// seek wants the answer of a seek.
func (w *world) seek(s engine.Stream, name string, to engine.Seq, want engine.Sought) {
	w.Helper()
	got, err := s.Seek(w.ctx, name, to)
	w.no(err, "Seek")
	if got != want {
		w.Errorf("a seek to %d came to %+v, want %+v", to, got, want)
	}
}

// wantPlace wants a consumer that has all from floor on before it.
func (w *world) wantPlace(c engine.Consumer, floor engine.Seq, lag uint64) {
	w.Helper()
	if st := w.state(c); st.Floor != floor || st.Lag != lag || st.Parked != 0 {
		w.Errorf("state is %+v, want floor %d, lag %d, none parked", st, floor, lag)
	}
}

// All below the place is settled, all from there on comes as for the first time.
func testSeek(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	w.append(s, "a", "b", "c", "d", "e")
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0")
	w.ack(c, 1, 3)
	w.retry(c, 2, time.Hour)

	w.seek(s, "c", 1, engine.Sought{Place: 1, Again: 2})
	w.wantPlace(c, 1, 5)
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0", "4=d#0", "5=e#0")
	w.ack(c, 1, 3, 4)
	w.retry(c, 2, 0)
	w.release(c, 5)
	w.seek(s, "c", 4, engine.Sought{Place: 4, Skipped: 1, Again: 1})
	w.wantPlace(c, 4, 2)
	w.wantNext(c, "4=d#0", "5=e#0")
	w.ack(c, 4, 5)
	w.wantNone(c)

	w.seek(s, "c", 0, engine.Sought{Place: 1, Again: 5})
	w.seek(s, "c", latest, engine.Sought{Place: 6, Skipped: 5})
	w.seek(s, "c", latest, engine.Sought{Place: 6})
	w.wantNone(c)
	w.append(s, "f")
	w.wantNext(c, "6=f#0")
	_, err := s.Seek(w.ctx, "nobody", 1)
	w.wantErr(err, engine.ErrNoConsumer, "Seek of nobody")
}

// A seek is durable and says nothing of others; nobody need have the consumer
// open.
func testSeekIsKept(w *world) {
	s := w.stream("s")
	c, other := w.consumer(s, "c"), w.consumer(s, "c2")
	w.append(s, "a", "b", "c", "d")
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0", "4=d#0")
	w.retry(c, 1, time.Hour)
	w.retry(c, 3, time.Hour)
	w.ack(c, 2, 4)
	w.wantNext(other, "1=a#0")
	w.ack(other, 1)
	w.reopen()
	s = w.stream("s")
	w.seek(s, "c", 2, engine.Sought{Place: 2, Skipped: 1, Again: 2})
	w.wantNext(w.consumer(s, "c2"), "2=b#0")
	w.reopen()
	s = w.stream("s")
	c = w.consumer(s, "c")
	w.wantPlace(c, 2, 3)
	w.wantNext(c, "2=b#0", "3=c#0", "4=d#0")
	w.wantNone(c)
	w.seek(s, "c", latest, engine.Sought{Place: 5, Skipped: 3})
	w.reopen()
	c = w.consumer(w.stream("s"), "c")
	w.wantPlace(c, 5, 0)
	w.wantNone(c)
}

// What is in flight keeps its slot, and its settlement is not taken for that of
// the record's second coming.
func testSeekLeavesWhatIsInFlight(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", atOnce(3))
	w.append(s, "a", "b", "c", "d")
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0")
	w.seek(s, "c", 2, engine.Sought{Place: 2, Skipped: 1})
	if st := w.state(c); st.InFlight != 3 || st.Floor != 2 || st.Lag != 3 {
		w.Errorf("state is %+v, want three in flight and floor 2", st)
	}
	w.wantNone(c)
	w.ack(c, 1)
	w.wantErr(c.Ack(w.ctx, 1), engine.ErrNotInFlight, "a second Ack")
	w.wantNext(c, "4=d#0") // 2 and 3 are in flight
	w.wantNone(c)
	w.ack(c, 2)
	w.wantNext(c, "2=b#0")
	w.retry(c, 3, time.Hour)
	w.wantNext(c, "3=c#0")
	w.retry(c, 2, 0)
	w.wantNext(c, "2=b#1")
	w.ack(c, 2, 3, 4)
	w.wantPlace(c, 5, 0)
	// Whoever opens it anew has all its slots.
	w.seek(s, "c", 1, engine.Sought{Place: 1, Again: 4})
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0")
	w.seek(s, "c", 1, engine.Sought{Place: 1, Again: 0})
	w.no(c.Close(), "Close")
	w.wantNext(w.consumer(s, "c", atOnce(3)), "1=a#0", "2=b#0", "3=c#0")
}

// One of a key at a time, also of those in flight at a seek.
func testSeekInOrder(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", ordered)
	w.appendKeyed(s, "a1", "a2", "b1", "c1", "a3")
	w.wantNext(c, "1=a1#0", "3=b1#0", "4=c1#0")
	w.ack(c, 1, 4)
	w.wantNext(c, "2=a2#0")
	w.seek(s, "c", 1, engine.Sought{Place: 1, Again: 2})
	w.wantNext(c, "4=c1#0") // of a and b one is in flight
	w.wantNone(c)
	w.retry(c, 2, time.Hour)
	w.wantNext(c, "1=a1#0")
	w.release(c, 3)
	w.wantNext(c, "3=b1#0")
	w.wantNone(c)
	w.ack(c, 1)
	w.wantNext(c, "2=a2#0")
	w.ack(c, 2)
	w.wantNext(c, "5=a3#0")
}

// A caller that waits at the head is given what comes again, also where the
// consumer has not wanted what came since.
func testSeekWakes(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", types("a"))
	w.append(s, "a", "b", "a")
	w.wantNext(c, "1=a#0", "3=a#0")
	w.ack(c, 1, 3)
	deliveries, stop := w.inBackground(c)
	defer stop()
	w.append(s, "b", "b")
	w.eventually("all is seen", func() bool { return w.state(c).Lag == 0 })
	for range 3 {
		w.seek(s, "c", 2, engine.Sought{Place: 2, Again: 4})
		select {
		case d := <-deliveries:
			if d.Seq != 3 || d.Attempt != 0 {
				w.Fatalf("delivery %s, want seq 3", show(d))
			}
			w.ack(c, 3)
		case <-time.After(patience):
			w.Fatal("nothing comes")
		}
		w.eventually("all is seen again", func() bool { return w.state(c).Lag == 0 })
	}
}

// What is trimmed cannot be sought, and what was sought is not trimmed
// (invariant 7).
func testSeekAndTrim(w *world) {
	s := w.streamWith(engine.StreamSpec{Name: "s"})
	c, other := w.consumer(s, "c"), w.consumer(s, "other")
	w.append(s, "a", "b", "c", "d")
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0", "4=d#0")
	w.ack(c, 1, 2, 3, 4)
	w.wantNext(other, "1=a#0", "2=b#0")
	w.ack(other, 1)
	w.eventually("seq 1 is trimmed", func() bool { return w.first(s) == 2 })
	w.seek(s, "c", 1, engine.Sought{Place: 2, Again: 3})
	w.ack(other, 2)
	w.wantNext(other, "3=c#0", "4=d#0")
	w.ack(other, 3, 4)
	w.stays("what is to come again is kept", func() bool { return w.first(s) == 2 })
	w.reopen()
	s = w.streamWith(engine.StreamSpec{Name: "s"})
	w.stays("what is to come again is kept", func() bool { return w.first(s) == 2 })
	w.wantNext(w.consumer(s, "c"), "2=b#0")
	w.seek(s, "c", 4, engine.Sought{Place: 4, Skipped: 2})
	w.eventually("what was skipped is trimmed", func() bool { return w.first(s) == 4 })
}

// Seeks to the oldest record race with trimming: what is kept when a seek
// returns comes, without a hole.
func testSeekWhileTrimming(w *world) {
	s := w.streamWith(engine.StreamSpec{Name: "s"})
	c := w.consumer(s, "c", atOnce(1))
	var all sync.WaitGroup
	defer all.Wait()
	stop := make(chan struct{})
	defer close(stop)
	all.Go(func() { // trims as soon as it may
		for {
			select {
			case <-stop:
				return
			default:
				_ = s.TrimTo(w.ctx, latest)
			}
		}
	})
	for begun := time.Now(); time.Since(begun) < 10*blink; {
		w.append(s, "a", "b", "c", "d", "e", "f", "g", "h")
		for range 4 {
			d := w.next(c)
			w.ack(c, d.Seq)
		}
		got, err := s.Seek(w.ctx, "c", 0)
		w.no(err, "Seek")
		for want := got.Place; want < got.Place+3; want++ {
			d := w.next(c)
			if d.Seq != want {
				w.Fatalf("after a seek to %d comes %s, want seq %d: it was trimmed", got.Place, show(d), want)
			}
			w.ack(c, d.Seq)
		}
		got, err = s.Seek(w.ctx, "c", latest)
		w.no(err, "Seek")
		if _, head := w.bounds(s); got.Place != head+1 {
			w.Fatalf("a seek to the end came to %d, head %d", got.Place, head)
		}
	}
}

func testSeqAt(w *world) {
	s := w.stream("s")
	want := func(at time.Time, want engine.Seq) {
		w.Helper()
		got, err := engine.SeqAt(w.ctx, s, at)
		w.no(err, "SeqAt")
		if got != want {
			w.Errorf("the first record at %v or later is %d, want %d", at, got, want)
		}
	}
	want(time.Now(), 1)
	for range 9 {
		w.append(s, "a", "b")
		time.Sleep(time.Millisecond) // so that the next ones are later
	}
	records, err := s.Read(w.ctx, 1, 100)
	w.no(err, "Read")
	for i := 0; i < len(records); i += 2 {
		want(records[i].Time, records[i].Seq)
		want(records[i].Time.Add(1), records[i].Seq+2)
	}
	want(time.Time{}, 1)
	want(time.Now().Add(time.Hour), 19)
	w.no(s.TrimTo(w.ctx, 8), "TrimTo")
	w.eventually("trimmed to 8", func() bool { return w.first(s) == 8 })
	want(records[0].Time, 8)
	want(records[14].Time, 15)
	w.no(s.TrimTo(w.ctx, latest), "TrimTo")
	w.eventually("trimmed to the end", func() bool { return w.first(s) == 19 })
	want(records[0].Time, 19)
}
