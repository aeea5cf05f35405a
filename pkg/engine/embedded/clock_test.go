package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/engine/embedded"
)

// wall is a wall clock that somebody sets.
type wall struct{ off atomic.Int64 }

func (w *wall) now() time.Time       { return time.Now().Add(time.Duration(w.off.Load())) }
func (w *wall) jump(d time.Duration) { w.off.Add(int64(d)) }

const day = 24 * time.Hour

// late is how much later than it should anything may come on a busy machine.
// It is far below a day.
const late = 10 * time.Second

// jumper runs one consumer through jumps of the wall clock and restarts.
type jumper struct {
	t      *testing.T
	rnd    *rand.Rand
	wall   wall
	fs     vfs.FS
	engine engine.Engine
	stream engine.Stream
	c      engine.Consumer
	began  time.Time // since when this process runs

	sent, settled int
	parked        map[engine.Seq]parking
	seen          map[engine.Seq]int // deliveries
	asked         map[engine.Seq]int // retries asked for
	restarts      int
}

// parking is what was asked for with a Retry.
type parking struct {
	at      time.Time // monotonic
	after   time.Duration
	restart int
}

func (j *jumper) no(err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
}

func (j *jumper) start() {
	j.t.Helper()
	ctx := j.t.Context()
	var err error
	j.engine, err = embedded.Open("data", embedded.Options{FS: j.fs, Now: j.wall.now, CheckpointEvery: 2 * time.Millisecond})
	j.no(err)
	j.stream, err = j.engine.Stream(ctx, engine.StreamSpec{Name: "s"})
	j.no(err)
	j.c, err = j.stream.Consumer(ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 50, FromEarliest: true})
	j.no(err)
	j.began = time.Now()
}

// next takes a delivery and checks that it comes when it should: a retry not
// before its time and not a clock's jump after it. By a restart a retry may come
// early once, if the clock was set forward meanwhile.
func (j *jumper) next(patience time.Duration) (engine.Delivery, bool) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), patience)
	defer cancel()
	d, err := j.c.Next(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return d, false
	}
	j.no(err)
	j.seen[d.Seq]++
	p, wasParked := j.parked[d.Seq]
	delete(j.parked, d.Seq)
	if !wasParked {
		return d, true
	}
	waited := time.Since(p.at)
	switch {
	case p.restart == j.restarts && waited < p.after:
		j.t.Fatalf("seq %d comes after %v, %v were asked for: a storm", d.Seq, waited, p.after)
	case min(waited, time.Since(j.began)) > p.after+late:
		j.t.Fatalf("seq %d comes after %v, %v were asked for: it was frozen", d.Seq, waited, p.after)
	}
	return d, true
}

// run does random things n times, then lets everything settle.
func (j *jumper) run(n int) {
	j.t.Helper()
	ctx := j.t.Context()
	j.start()
	for range n {
		switch k := j.rnd.IntN(100); {
		case k < 30:
			_, err := j.stream.Append(ctx, engine.Payload{Data: fmt.Append(nil, j.sent)})
			j.no(err)
			j.sent++
		case k < 90:
			if d, ok := j.next(time.Millisecond); ok {
				j.settle(d, j.rnd.IntN(3) == 0)
			}
		case k < 97:
			j.wall.jump(time.Duration(j.rnd.Int64N(int64(2*day))) - day)
		default:
			j.no(j.engine.Close())
			j.wall.jump([]time.Duration{day, -day, 0}[j.rnd.IntN(3)])
			j.restarts++
			j.start()
		}
	}
	for deadline := time.Now().Add(3 * late); j.settled < j.sent; {
		if d, ok := j.next(20 * time.Millisecond); ok {
			j.settle(d, false)
		} else if time.Now().After(deadline) {
			st, err := j.c.State(ctx)
			j.t.Fatalf("%d of %d are settled; the state is %+v, %v", j.settled, j.sent, st, err)
		}
	}
	for seq := engine.Seq(1); seq <= engine.Seq(j.sent); seq++ {
		if most := 1 + j.asked[seq]; j.seen[seq] != most {
			j.t.Errorf("seq %d was delivered %d times, want %d", seq, j.seen[seq], most)
		}
	}
	j.no(j.engine.Close())
}

func (j *jumper) settle(d engine.Delivery, again bool) {
	j.t.Helper()
	if !again {
		j.no(j.c.Ack(j.t.Context(), d.Seq))
		j.settled++
		return
	}
	after := time.Duration(j.rnd.IntN(20)) * time.Millisecond
	j.asked[d.Seq]++
	j.parked[d.Seq] = parking{time.Now(), after, j.restarts}
	j.no(j.c.Retry(j.t.Context(), d.Seq, after))
}

// The wall clock jumps by up to a day either way, while the process runs and
// while it does not: every record is delivered, retries come in their time, and
// none comes more often than it was asked for.
func TestWallClockJumps(t *testing.T) {
	seed := rand.Uint64()
	for i := range uint64(10) {
		t.Run(fmt.Sprint(seed, ",", i), func(t *testing.T) {
			t.Parallel()
			j := &jumper{
				t: t, rnd: rand.New(rand.NewPCG(seed, i)), fs: vfs.NewMem(),
				parked: map[engine.Seq]parking{}, seen: map[engine.Seq]int{}, asked: map[engine.Seq]int{},
			}
			j.run(600)
			t.Logf("%d records, %d restarts", j.sent, j.restarts)
		})
	}
}

// A retry parked for an hour is not due at once because the clock of the
// running process jumps, in whichever direction, nor because of a restart after
// the clock was set back; after one that was set forward it is.
func TestParkedForAnHour(t *testing.T) {
	for name, x := range map[string]struct {
		running, stopped time.Duration
		due              bool
	}{
		"forward":                   {day, 0, false},
		"back":                      {-day, 0, false},
		"back at the restart":       {0, -day, false},
		"forward at the restart":    {0, day, true},
		"forward and back":          {day, -day, false},
		"back and forward":          {-day, day, true},
		"an hour while it is down":  {0, time.Hour, true},
		"half of it while it rests": {0, time.Hour / 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &jumper{t: t, fs: vfs.NewMem(), parked: map[engine.Seq]parking{}, seen: map[engine.Seq]int{}}
			j.start()
			_, err := j.stream.Append(t.Context(), engine.Payload{Data: []byte("x")})
			j.no(err)
			d, ok := j.next(late)
			if !ok {
				t.Fatal("the record does not come")
			}
			j.no(j.c.Retry(t.Context(), d.Seq, time.Hour))
			j.wall.jump(x.running)
			if _, ok := j.next(20 * time.Millisecond); ok {
				t.Error("due at once while the process runs")
			}
			j.no(j.engine.Close())
			j.wall.jump(x.stopped)
			j.start()
			patience := 20 * time.Millisecond
			if x.due {
				patience = late
			}
			if _, ok := j.next(patience); ok != x.due {
				t.Errorf("due after the restart: %v, want %v", ok, x.due)
			}
			if st, err := j.c.State(t.Context()); err != nil || st.Lag != 1 {
				t.Errorf("the state is %+v, %v", st, err)
			}
			j.no(j.engine.Close())
		})
	}
}

// Retention goes on when the clock is set back by a day: what was kept before
// is kept for a few times the retention at most, and not for the day. Set
// forward, it drops nothing that a route has not settled.
func TestRetentionWhenTheClockJumps(t *testing.T) {
	var w wall
	e, err := embedded.Open("data", embedded.Options{FS: vfs.NewMem(), Now: w.now, CheckpointEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx := t.Context()
	s, err := e.Stream(ctx, engine.StreamSpec{Name: "s", Retention: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	first := func() engine.Seq {
		st, err := s.State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return st.First
	}
	// hours appends ten records in each hour.
	hours := func(n int) (last engine.Seq) {
		for range 10 * n {
			w.jump(6 * time.Minute)
			var err error
			if last, err = s.Append(ctx, engine.Payload{Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		return last
	}
	before := hours(3)
	w.jump(-day)
	hours(4)
	for deadline := time.Now().Add(late); first() <= before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("4 hours after the jump the oldest record is still %d", first())
		}
	}

	c, err := s.Consumer(ctx, engine.ConsumerSpec{Name: "c", MaxInFlight: 1})
	if err != nil {
		t.Fatal(err)
	}
	unsettled := hours(1) - 9
	w.jump(day)
	hours(1)
	for deadline := time.Now().Add(late); first() != unsettled; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || first() > unsettled {
			t.Fatalf("kept is what is from %d on, want from %d on", first(), unsettled)
		}
	}
	if d, err := c.Next(ctx); err != nil || d.Seq != unsettled {
		t.Fatalf("seq %d comes first (%v), want %d", d.Seq, err, unsettled)
	}
}
