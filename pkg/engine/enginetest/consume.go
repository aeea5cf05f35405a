package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"leat.dev/leat/pkg/engine"
)

func testConsumerStart(w *world) {
	s := w.stream("s")
	w.append(s, "a", "b")
	late, early := w.consumer(s, "late"), w.consumer(s, "early", earliest)
	w.append(s, "c")
	w.wantNext(late, "3=c#0")
	w.wantNext(early, "1=a#0", "2=b#0", "3=c#0")
	w.ack(late, 3)
	w.no(late.Close(), "Close")
	// It says nothing about a consumer that is there.
	w.wantNone(w.consumer(s, "late", earliest))
}

// A place is kept from the moment the consumer is there, delivered or not.
func testConsumerKeepsItsPlace(w *world) {
	s := w.stream("s")
	w.append(s, "a")
	w.consumer(s, "c")
	w.append(s, "b")
	w.reopen()
	s = w.stream("s")
	w.append(s, "c")
	c := w.consumer(s, "c")
	w.wantNext(c, "2=b#0", "3=c#0")
	w.ack(c, 2, 3)
	w.no(c.Close(), "Close")
	w.append(s, "d")
	w.wantNext(w.consumer(s, "c"), "4=d#0")
}

// Of two openings only one delivers.
func testOpenedTwice(w *world) {
	s := w.stream("s")
	one := w.consumer(s, "c")
	w.append(s, "a", "b")
	w.wantNext(one, "1=a#0")
	two, err := s.Consumer(w.ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 10})
	if err != nil { // refused
		w.wantNext(one, "2=b#0")
		return
	}
	_, err = one.Next(w.ctx)
	w.wantErr(err, engine.ErrClosed, "Next of the first opening")
	w.wantErr(one.Ack(w.ctx, 1), engine.ErrClosed, "Ack of the first opening")
	w.no(one.Close(), "Close of the first opening") // and not of the second
	w.wantNext(two, "1=a#0", "2=b#0")
	w.ack(two, 1, 2)
}

func testMaxInFlight(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", atOnce(2))
	w.append(s, "a", "b", "c", "d", "e")
	w.wantNext(c, "1=a#0", "2=b#0")
	w.wantNone(c)
	w.ack(c, 2)
	w.wantNext(c, "3=c#0")
	w.wantNone(c)
	// A caller that waits for a slot gets it.
	got := make(chan engine.Delivery)
	go func() {
		d, err := c.Next(w.ctx)
		if err != nil {
			w.Errorf("Next: %v", err)
		}
		got <- d
	}()
	w.ack(c, 1)
	if d := <-got; d.Seq != 4 {
		w.Errorf("delivery %s, want seq 4", show(d))
	}
	w.release(c, 3)
	w.wantNext(c, "3=c#0")
	w.wantNone(c)
}

func testParkedHoldsNoSlot(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", atOnce(1))
	w.append(s, "a", "b", "c")
	for _, want := range []string{"1=a#0", "2=b#0", "3=c#0"} {
		d := w.next(c)
		if show(d) != want {
			w.Fatalf("delivery %s, want %s", show(d), want)
		}
		w.retry(c, d.Seq, time.Hour)
	}
	w.wantNone(c)
	if st := w.state(c); st.Parked != 3 || st.InFlight != 0 || st.Floor != 1 {
		w.Errorf("state is %+v, want three parked from floor 1", st)
	}
}

// Only what is in flight can be settled.
func testSettle(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	w.append(s, "a", "b")
	refused := func(seq engine.Seq, why string) {
		w.Helper()
		w.wantErr(c.Ack(w.ctx, seq), engine.ErrNotInFlight, "Ack of what "+why)
		w.wantErr(c.Retry(w.ctx, seq, 0), engine.ErrNotInFlight, "Retry of what "+why)
		w.wantErr(c.Release(w.ctx, seq), engine.ErrNotInFlight, "Release of what "+why)
	}
	refused(1, "was not delivered")
	refused(99, "is not there")
	refused(0, "cannot be")
	w.wantNext(c, "1=a#0", "2=b#0")
	w.ack(c, 1)
	refused(1, "is settled")
	w.retry(c, 2, time.Hour)
	refused(2, "is parked")
	w.append(s, "c")
	w.wantNext(c, "3=c#0")
	w.release(c, 3)
	w.wantNext(c, "3=c#0")
	w.retry(c, 3, 0)
	w.wantNext(c, "3=c#1")
	w.release(c, 3)
	w.wantNext(c, "3=c#1")
	w.retry(c, 3, -time.Hour)
	w.wantNext(c, "3=c#2")
}

func testRetryComesBackInTime(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	w.append(s, "a", "b", "c")
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0")
	start := time.Now()
	w.retry(c, 1, 60*time.Millisecond)
	w.retry(c, 2, 30*time.Millisecond)
	w.ack(c, 3)
	w.wantNext(c, "2=b#1")
	if took := time.Since(start); took < 30*time.Millisecond {
		w.Errorf("2 is back after %v", took)
	}
	w.wantNext(c, "1=a#1")
	if took := time.Since(start); took < 60*time.Millisecond {
		w.Errorf("1 is back after %v", took)
	}
}

// The longest duration there is does not overflow into the past.
func testRetryForever(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	w.append(s, "a")
	w.wantNext(c, "1=a#0")
	w.retry(c, 1, 1<<63-1)
	w.wantNone(c)
	w.reopen()
	w.wantNone(w.consumer(w.stream("s"), "c"))
}

func testRetrySurvivesReopen(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	w.append(s, "far", "near", "settled")
	w.wantNext(c, "1=far#0", "2=near#0", "3=settled#0")
	for attempt := range 3 {
		w.retry(c, 1, 0)
		w.wantNext(c, fmt.Sprintf("1=far#%d", attempt+1))
	}
	w.retry(c, 1, time.Hour)
	w.retry(c, 2, 50*time.Millisecond)
	w.ack(c, 3)
	w.reopen()
	s = w.stream("s")
	c = w.consumer(s, "c")
	if st := w.state(c); st.Parked != 2 || st.Floor != 1 || st.Lag != 2 {
		w.Errorf("state is %+v, want two parked from floor 1", st)
	}
	w.wantNext(c, "2=near#1")
	w.wantNone(c)
	w.ack(c, 2)
	w.reopen()
	w.wantNone(w.consumer(w.stream("s"), "c"))
}

func testUnsettledComeBack(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	w.append(s, "a", "b", "c", "d")
	w.wantNext(c, "1=a#0", "2=b#0", "3=c#0")
	w.ack(c, 2)
	w.no(c.Close(), "Close")
	c = w.consumer(s, "c")
	w.wantNext(c, "1=a#0", "3=c#0", "4=d#0")
	w.ack(c, 4)
	w.retry(c, 1, 0)
	w.wantNext(c, "1=a#1")
	w.reopen()
	s = w.stream("s")
	c = w.consumer(s, "c")
	w.wantNext(c, "1=a#1", "3=c#0")
	w.ack(c, 1, 3)
	w.reopen()
	c = w.consumer(w.stream("s"), "c")
	w.wantNone(c)
	if st := w.state(c); st.Floor != 5 || st.Lag != 0 {
		w.Errorf("state is %+v, want floor 5 and no lag", st)
	}
}

func testUpdate(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", atOnce(1), types("a"))
	w.append(s, "a", "a", "a")
	w.wantNext(c, "1=a#0")
	w.wantNone(c)
	got := make(chan engine.Delivery)
	go func() {
		d, err := c.Next(w.ctx)
		if err != nil {
			w.Errorf("Next: %v", err)
		}
		got <- d
	}()
	w.no(c.Update(w.ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 2, Interest: engine.Interest{Types: []string{"a"}}}), "Update")
	if d := <-got; d.Seq != 2 {
		w.Errorf("delivery %s, want seq 2", show(d))
	}
	w.no(c.Update(w.ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 9}), "Update")
	w.append(s, "b")
	w.wantNext(c, "3=a#0", "4=b#0")
	// Nothing that is in flight is forgotten by an update.
	w.ack(c, 1, 2, 3, 4)
	if err := c.Update(w.ctx, engine.ConsumerSpec{Name: "c"}); err == nil {
		w.Error("an update to no delivery at once is taken")
	}
	w.append(s, "c")
	w.wantNext(c, "5=c#0")
}

// Each record goes to one of the callers.
func testConcurrentNext(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", atOnce(7))
	const records = 400
	var mu sync.Mutex
	got := map[engine.Seq]int{}
	ctx, stop := context.WithTimeout(w.ctx, patience)
	defer stop()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for {
				d, err := c.Next(ctx)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						w.Errorf("Next: %v", err)
					}
					return
				}
				if int(d.Seq)%5 == i && d.Attempt == 0 {
					err = c.Retry(ctx, d.Seq, time.Duration(i)*100*time.Microsecond)
				} else {
					mu.Lock()
					if got[d.Seq]++; len(got) == records {
						stop()
					}
					mu.Unlock()
					err = c.Ack(w.ctx, d.Seq)
				}
				if err != nil {
					w.Errorf("settle %d: %v", d.Seq, err)
				}
			}
		})
	}
	for i := range records / 4 {
		w.append(s, fmt.Sprint(i), "x", "y", "z")
	}
	all.Wait()
	for seq, n := range got {
		if n != 1 {
			w.Errorf("seq %d was delivered %d times", seq, n)
		}
	}
}

// A caller that was to wait for a retry's time and goes away hands that over to
// another.
func testNextHandsOver(w *world) {
	s := w.stream("s")
	for round := range 10 {
		name := fmt.Sprint(round)
		c := w.consumer(s, name)
		seq := w.append(s, name)
		w.next(c)
		got := make(chan error, 2)
		leave := make([]context.CancelFunc, 2)
		for i := range leave {
			var ctx context.Context
			ctx, leave[i] = context.WithTimeout(w.ctx, patience)
			go func() {
				_, err := c.Next(ctx)
				got <- err
			}()
		}
		time.Sleep(time.Millisecond) // likely both wait
		w.retry(c, seq, 10*time.Millisecond)
		time.Sleep(time.Millisecond) // likely one knows
		leave[round%2]()
		if first := <-got; first != nil { // else the retry was due before anybody left
			w.wantErr(first, context.Canceled, "Next of who leaves")
			if err := <-got; err != nil {
				w.Errorf("Next of who stays: %v, want the retry", err)
			}
		}
		leave[1-round%2]()
		w.no(s.RemoveConsumer(w.ctx, name), "RemoveConsumer")
	}
}

func testNextContext(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c")
	why := errors.New("not needed any more")
	ctx, cancel := context.WithCancelCause(w.ctx)
	done := make(chan error)
	go func() {
		_, err := c.Next(ctx)
		done <- err
	}()
	cancel(why)
	w.wantErr(<-done, why, "Next")
	w.append(s, "a") // and takes nothing with it
	w.wantNext(c, "1=a#0")
}

// A consumer that settles nothing, or does not even take anything, holds up no
// other and no append.
func testSlowConsumer(w *world) {
	s := w.stream("s")
	stuck, idle, quick := w.consumer(s, "stuck", atOnce(1)), w.consumer(s, "idle"), w.consumer(s, "quick", atOnce(1))
	for i := range 300 {
		seq := w.append(s, "x")
		if i == 0 {
			w.wantNext(stuck, "1=x#0")
		}
		if d := w.next(quick); d.Seq != seq {
			w.Fatalf("delivery %s, want seq %d", show(d), seq)
		}
		w.ack(quick, seq)
	}
	w.wantNext(idle, "1=x#0", "2=x#0")
	if st := w.state(quick); st.Lag != 0 {
		w.Errorf("the quick consumer's state is %+v", st)
	}
}
