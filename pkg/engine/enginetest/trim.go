package enginetest

import (
	"time"

	"leat.dev/leat/pkg/engine"
)

// first is the oldest record kept.
func (w *world) first(s engine.Stream) engine.Seq {
	w.Helper()
	first, _ := w.bounds(s)
	return first
}

// A record goes when all consumers have settled it, and not before
// (invariant 7).
func testTrim(w *world) {
	s := w.streamWith(engine.StreamSpec{Name: "s"})
	one, two := w.consumer(s, "one"), w.consumer(s, "two")
	w.append(s, "a", "b", "c", "d")
	w.wantNext(one, "1=a#0", "2=b#0", "3=c#0", "4=d#0")
	w.wantNext(two, "1=a#0", "2=b#0", "3=c#0", "4=d#0")
	w.ack(one, 1, 2, 3, 4)
	w.ack(two, 1, 3, 4)
	w.retry(two, 2, time.Hour)
	w.eventually("seq 1 is trimmed", func() bool { return w.first(s) == 2 })
	w.stays("2 is kept for its retry", func() bool { return w.first(s) == 2 })
	w.reopen()
	s = w.streamWith(engine.StreamSpec{Name: "s"})
	two = w.consumer(s, "two")
	w.stays("2 is kept for its retry", func() bool { return w.first(s) == 2 })
	w.wantTexts(s, "2=b 3=c 4=d")
	w.no(s.RemoveConsumer(w.ctx, "two"), "RemoveConsumer")
	w.eventually("all is trimmed", func() bool { return w.first(s) == 5 })
	if seq := w.append(s, "e"); seq != 5 {
		w.Errorf("after a trim of all the next seq is %d, want 5", seq)
	}
	_ = two
}

// A consumer that nobody has open holds what it has not settled.
func testTrimWaitsForClosedConsumer(w *world) {
	s := w.streamWith(engine.StreamSpec{Name: "s"})
	away, here := w.consumer(s, "away"), w.consumer(s, "here")
	w.append(s, "a", "b")
	w.wantNext(away, "1=a#0")
	w.ack(away, 1)
	w.no(away.Close(), "Close")
	w.wantNext(here, "1=a#0", "2=b#0")
	w.ack(here, 1, 2)
	w.eventually("seq 1 is trimmed", func() bool { return w.first(s) == 2 })
	w.reopen()
	s = w.streamWith(engine.StreamSpec{Name: "s"})
	w.stays("2 is kept", func() bool { return w.first(s) == 2 })
	w.wantNext(w.consumer(s, "away"), "2=b#0")
}

func testRetention(w *world) {
	s := w.streamWith(engine.StreamSpec{Name: "s", Retention: time.Hour})
	c := w.consumer(s, "c")
	w.append(s, "a", "b")
	w.wantNext(c, "1=a#0", "2=b#0")
	w.ack(c, 1, 2)
	w.stays("all is kept for an hour", func() bool { return w.first(s) == 1 })
	w.wantNext(w.consumer(s, "replay", earliest), "1=a#0")
	w.no(s.RemoveConsumer(w.ctx, "replay"), "RemoveConsumer")
	w.streamWith(engine.StreamSpec{Name: "s", Retention: time.Millisecond})
	w.streamWith(engine.StreamSpec{Name: "s", Retention: engine.KeepAsIs})
	w.eventually("it is kept for a millisecond only", func() bool { return w.first(s) == 3 })
	w.append(s, "c")
	w.no(s.RemoveConsumer(w.ctx, "c"), "RemoveConsumer")
	w.eventually("it is kept for a millisecond still", func() bool { return w.first(s) == 4 })
	w.stream("other")
	w.append(w.stream("other"), "x")
	w.reopen()
	other := w.streamWith(engine.StreamSpec{Name: "other", Retention: engine.KeepAsIs})
	w.stays("what nobody has opened keeps all", func() bool { return w.first(other) == 1 })
}

// Who only looks creates nothing, and brings nothing back.
func testLook(w *world) {
	look := func(name string) error {
		_, err := w.engine.Stream(w.ctx, engine.StreamSpec{Name: name, Retention: engine.KeepAsIs})
		return err
	}
	w.wantErr(look("none"), engine.ErrNoStream, "looking at what never was")
	w.append(w.stream("s"), "a")
	w.no(look("s"), "looking at an open stream")
	w.reopen()
	w.no(look("s"), "looking at a stored stream")
	w.no(w.engine.Remove(w.ctx, "s"), "Remove")
	w.wantErr(look("s"), engine.ErrNoStream, "looking at a removed stream")
	w.reopen()
	w.wantErr(look("s"), engine.ErrNoStream, "looking at a removed stream, after a restart")
	names, err := w.engine.Streams(w.ctx)
	w.no(err, "Streams")
	if len(names) > 0 {
		w.Errorf("there are the streams %q, want none", names)
	}
}

func testTrimTo(w *world) {
	s := w.stream("s")
	w.append(s, "a", "b", "c", "d")
	w.stays("all is kept for ever", func() bool { return w.first(s) == 1 })
	w.no(s.TrimTo(w.ctx, 2), "TrimTo")
	w.eventually("trimmed to 2", func() bool { return w.first(s) == 2 })
	w.no(s.TrimTo(w.ctx, 1), "TrimTo")
	w.wantTexts(s, "2=b 3=c 4=d")
	// A consumer that needs them keeps them until it does not.
	c := w.consumer(s, "c", earliest)
	w.wantNext(c, "2=b#0", "3=c#0")
	w.ack(c, 2)
	w.no(s.TrimTo(w.ctx, 4), "TrimTo")
	w.eventually("trimmed to the floor", func() bool { return w.first(s) == 3 })
	w.stays("3 is in flight", func() bool { return w.first(s) == 3 })
	w.ack(c, 3)
	w.eventually("trimmed to 4", func() bool { return w.first(s) == 4 })
	w.wantTexts(s, "4=d")
	w.wantNext(c, "4=d#0")
}
