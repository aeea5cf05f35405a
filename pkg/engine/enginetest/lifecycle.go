package enginetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"leat.dev/leat/pkg/engine"
)

// waiters starts callers of Next, whose errors come.
func (w *world) waiters(c engine.Consumer, n int) <-chan error {
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := c.Next(w.ctx)
			errs <- err
		}()
	}
	return errs
}

// wantDead wants ErrClosed of everything a consumer has.
func (w *world) wantDead(c engine.Consumer, why string) {
	w.Helper()
	_, nextErr := c.Next(w.ctx)
	_, stateErr := c.State(w.ctx)
	for what, err := range map[string]error{
		"Next": nextErr, "State": stateErr,
		"Ack": c.Ack(w.ctx, 1), "Retry": c.Retry(w.ctx, 1, 0), "Release": c.Release(w.ctx, 1),
		"Update": c.Update(w.ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 1}),
	} {
		w.wantErr(err, engine.ErrClosed, why+": "+what)
	}
	w.no(c.Close(), why+": Close again")
}

func testClosedConsumer(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	errs := w.waiters(c, 3)
	w.no(c.Close(), "Close")
	for range 3 {
		w.wantErr(<-errs, engine.ErrClosed, "Next")
	}
	w.wantDead(c, "closed")
	w.append(s, "a")
	w.wantNext(w.consumer(s, "c"), "1=a#0")
}

func testRemoveConsumer(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	other := w.consumer(s, "c2")
	w.append(s, "a", "b")
	w.wantNext(c, "1=a#0", "2=b#0")
	w.retry(c, 1, time.Hour)
	errs := w.waiters(c, 1)
	for range 2 { // the second removes what is not there
		w.no(s.RemoveConsumer(w.ctx, "c"), "RemoveConsumer")
	}
	w.wantErr(<-errs, engine.ErrClosed, "Next")
	w.wantDead(c, "removed")
	names, err := s.Consumers(w.ctx)
	w.no(err, "Consumers")
	if !slices.Equal(names, []string{"c2"}) {
		w.Errorf("consumers are %q, want c2", names)
	}
	w.wantNext(other, "1=a#0", "2=b#0")
	// Made again, it knows nothing of its first life, also after a restart.
	c = w.consumer(s, "c")
	w.wantNone(c)
	w.append(s, "c")
	w.reopen()
	s = w.stream("s")
	c = w.consumer(s, "c")
	w.wantNext(c, "3=c#0")
	w.wantNone(c)
	w.no(s.RemoveConsumer(w.ctx, "c"), "RemoveConsumer")
	w.reopen()
	names, err = w.stream("s").Consumers(w.ctx)
	w.no(err, "Consumers")
	if !slices.Equal(names, []string{"c2"}) {
		w.Errorf("after a restart consumers are %q, want c2", names)
	}
}

func (w *world) wantDeadStream(s engine.Stream, why string) {
	w.Helper()
	_, appendErr := s.Append(w.ctx, payload("late"))
	_, consumerErr := s.Consumer(w.ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 1})
	_, newErr := s.Consumer(w.ctx, engine.ConsumerSpec{Name: "new", MaxInFlight: 1})
	_, readErr := s.Read(w.ctx, 1, 10)
	_, stateErr := s.State(w.ctx)
	_, seekErr := s.Seek(w.ctx, "c", 1)
	for what, err := range map[string]error{
		"Append": appendErr, "Seek": seekErr, "Consumer": consumerErr, "new Consumer": newErr, "Read": readErr, "State": stateErr,
		"TrimTo": s.TrimTo(w.ctx, 2),
	} {
		w.wantErr(err, engine.ErrClosed, why+": "+what)
	}
}

func testRemoveStream(w *world) {
	old := w.stream("s")
	other := w.stream("s2")
	c := w.consumer(old, "c")
	w.append(old, "a", "b", "c")
	w.append(other, "x")
	w.wantNext(c, "1=a#0")
	w.retry(c, 1, time.Hour)
	errs := w.waiters(w.consumer(old, "waits", atOnce(1), types("never")), 1)
	for range 2 { // the second removes what is not there
		w.no(w.engine.Remove(w.ctx, "s"), "Remove")
	}
	w.wantErr(<-errs, engine.ErrClosed, "Next")
	w.wantDead(c, "consumer of a removed stream")
	w.wantDeadStream(old, "removed")
	names, err := w.engine.Streams(w.ctx)
	w.no(err, "Streams")
	if !slices.Equal(names, []string{"s2"}) {
		w.Errorf("streams are %q, want s2", names)
	}
	s := w.stream("s")
	w.wantTexts(s, "")
	if consumers, err := s.Consumers(w.ctx); err != nil || len(consumers) > 0 {
		w.Errorf("the new stream has the consumers %q, %v", consumers, err)
	}
	c = w.consumer(s, "c", earliest)
	if seq := w.append(s, "new"); seq != 1 {
		w.Errorf("the new stream begins at seq %d", seq)
	}
	w.wantNext(c, "1=new#0")
	w.wantDeadStream(old, "removed and made again")
	w.reopen()
	w.wantTexts(w.stream("s"), "1=new")
	w.wantTexts(w.stream("s2"), "1=x")
	// A stream that nobody has opened is removed as well.
	w.reopen()
	w.no(w.engine.Remove(w.ctx, "s2"), "Remove")
	w.wantTexts(w.stream("s2"), "")
}

func testClosedEngine(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	waits := w.consumer(s, "waits", types("never"))
	w.append(s, "a", "b")
	w.wantNext(c, "1=a#0")
	errs := w.waiters(waits, 3)
	for range 2 {
		w.no(w.engine.Close(), "Close")
	}
	for range 3 {
		w.wantErr(<-errs, engine.ErrClosed, "Next")
	}
	w.wantDead(c, "consumer of a closed engine")
	w.wantDeadStream(s, "stream of a closed engine")
	_, streamErr := w.engine.Stream(w.ctx, engine.StreamSpec{Name: "s"})
	_, streamsErr := w.engine.Streams(w.ctx)
	_, consumersErr := s.Consumers(w.ctx)
	for what, err := range map[string]error{
		"Stream": streamErr, "Streams": streamsErr, "Consumers": consumersErr,
		"Remove": w.engine.Remove(w.ctx, "s"), "RemoveConsumer": s.RemoveConsumer(w.ctx, "c"),
	} {
		w.wantErr(err, engine.ErrClosed, what)
	}
	w.engine = w.h.Open(w)
	w.wantNext(w.consumer(w.stream("s"), "c"), "1=a#0", "2=b#0")
}

func testConsumerState(w *world) {
	s := w.stream("s")
	w.append(s, "before")
	c := w.consumer(s, "c")
	want := func(floor engine.Seq, inFlight, parked int, lag uint64, oldest engine.Seq) {
		w.Helper()
		st := w.state(c)
		at := time.Time{}
		if oldest > 0 {
			records, err := s.Read(w.ctx, oldest, 1)
			w.no(err, "Read")
			at = records[0].Time
		}
		got, wanted := fmt.Sprintf("%+v", st), fmt.Sprintf("%+v", engine.ConsumerState{
			Floor: floor, InFlight: inFlight, Parked: parked, Lag: lag, Oldest: at,
		})
		if got != wanted {
			w.Errorf("state is\n%s, want\n%s", got, wanted)
		}
	}
	want(2, 0, 0, 0, 0)
	w.append(s, "a", "b", "c", "d")
	want(2, 0, 0, 4, 2)
	w.wantNext(c, "2=a#0", "3=b#0", "4=c#0")
	want(2, 3, 0, 4, 2)
	w.ack(c, 3)
	want(2, 2, 0, 3, 2)
	w.retry(c, 2, time.Hour)
	want(2, 1, 1, 3, 2)
	w.ack(c, 4)
	want(2, 0, 1, 2, 2)
	w.no(c.Close(), "Close")
	c = w.consumer(s, "c")
	want(2, 0, 1, 2, 2)
	w.wantNext(c, "5=d#0")
	w.ack(c, 5)
	want(2, 0, 1, 1, 2)
	w.reopen()
	s = w.stream("s")
	c = w.consumer(s, "c")
	want(2, 0, 1, 1, 2)
}

// What a consumer does not want is no lag, also behind what it has in flight.
func testStateOfIdleConsumer(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", types("a"))
	deliveries, stop := w.inBackground(c)
	defer stop()
	w.append(s, "a")
	seq := (<-deliveries).Seq
	for range 50 {
		w.append(s, "b")
	}
	w.eventually("only what is in flight is lag", func() bool {
		st := w.state(c)
		return st.Lag == 1 && st.Floor == seq && st.InFlight == 1
	})
	w.ack(c, seq)
	w.eventually("no lag", func() bool {
		st := w.state(c)
		return st.Lag == 0 && st.Floor == 52 && st.Oldest.IsZero()
	})
}

// A call whose context has ended does nothing.
func testEndedContext(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	w.append(s, "a")
	w.wantNext(c, "1=a#0")
	w.retry(c, 1, 0)
	ended, end := context.WithCancel(w.ctx)
	end()
	w.wantErr(s.RemoveConsumer(ended, "c"), context.Canceled, "RemoveConsumer")
	_, err := s.Seek(ended, "c", 99)
	w.wantErr(err, context.Canceled, "Seek")
	w.wantErr(w.engine.Remove(ended, "s"), context.Canceled, "Remove")
	w.wantNext(c, "1=a#1")
	w.reopen()
	w.wantNext(w.consumer(w.stream("s"), "c"), "1=a#1")
}
