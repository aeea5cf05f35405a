package enginetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"leat.dev/leat/pkg/engine"
)

func testInterest(w *world) {
	s := w.stream("s")
	wanted := func(name string, more ...func(*engine.ConsumerSpec)) func(want ...engine.Seq) {
		c := w.consumer(s, name, more...)
		return func(want ...engine.Seq) {
			w.Helper()
			for _, seq := range want {
				for d := w.next(c); d.Seq != seq; d = w.next(c) {
					if slices.Contains(want, d.Seq) {
						w.Fatalf("%s: seq %d before %d", name, d.Seq, seq)
					}
					w.ack(c, d.Seq) // not wanted, but allowed
				}
				w.ack(c, seq)
			}
		}
	}
	all := wanted("all")
	a := wanted("a", types("a"))
	ab := wanted("ab", types("a", "b", "never"))
	from := wanted("from", sources("/1"))
	both := wanted("both", types("b"), sources("/2", "/1"))
	for range 3 {
		_, head := w.bounds(s)
		_, err := s.Append(w.ctx,
			engine.Payload{Type: "a", Source: "/1"}, engine.Payload{Type: "b", Source: "/1"},
			engine.Payload{Type: "c", Source: "/2"}, engine.Payload{Type: "b", Source: "/2"}, engine.Payload{Type: "b", Source: "/3"})
		w.no(err, "Append")
		at := func(is ...engine.Seq) []engine.Seq {
			for i := range is {
				is[i] += head
			}
			return is
		}
		all(at(1, 2, 3, 4, 5)...)
		a(at(1)...)
		ab(at(1, 2, 4, 5)...)
		from(at(1, 2)...)
		both(at(2, 4)...)
	}
}

// A backlog that is not wanted counts as settled and does not keep what comes
// behind it, nor does a caller who reads through it have to stay.
func testInterestBacklog(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", types("rare"))
	many := make([]engine.Payload, 1000)
	for i := range many {
		many[i] = engine.Payload{Data: []byte("x"), Type: "common"}
	}
	for range 5 {
		_, err := s.Append(w.ctx, many...)
		w.no(err, "Append")
	}
	seq := w.append(s, "rare")
	for {
		d := w.next(c)
		if w.ack(c, d.Seq); d.Seq == seq {
			break
		}
	}
	if st := w.state(c); st.Floor != seq+1 || st.Lag != 0 {
		w.Errorf("state is %+v, want floor %d and no lag", st, seq+1)
	}
}

// reader is a route in testInterestAtRandom.
type reader struct {
	*world
	name string
	rnd  *rand.Rand
	// specs it goes through; always are the records that each of them wants.
	specs []engine.ConsumerSpec
	got   map[engine.Seq]int
}

// testInterestAtRandom lets readers with different interests read while others
// append, retry, close, open and update: each gets all it always wants, once.
func testInterestAtRandom(w *world) {
	rnd := w.random()
	s := w.stream("s")
	kinds, places := []string{"a", "b", "c", "d"}, []string{"/1", "/2", "/3"}
	some := func(values []string) []string {
		rnd.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		return slices.Clone(values[:rnd.IntN(len(values))])
	}
	readers := make([]*reader, 12)
	for i := range readers {
		r := &reader{world: w, name: fmt.Sprint("r", i), rnd: rand.New(rand.NewPCG(rnd.Uint64(), 0)), got: map[engine.Seq]int{}}
		for range 1 + i%3 {
			r.specs = append(r.specs, engine.ConsumerSpec{
				Name: r.name, MaxInFlight: 1 + rnd.IntN(5), Interest: engine.Interest{Types: some(slices.Clone(kinds)), Sources: some(slices.Clone(places))},
			})
		}
		w.consumer(s, r.name, func(spec *engine.ConsumerSpec) { *spec = r.specs[0] })
		readers[i] = r
	}
	var mu sync.Mutex
	stored := map[engine.Seq]engine.Payload{}
	var appending, reading sync.WaitGroup
	for range 4 {
		seed := rnd.Uint64()
		appending.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 0))
			for range 150 {
				batch := make([]engine.Payload, 1+rnd.IntN(3))
				for i := range batch {
					batch[i] = engine.Payload{Data: []byte("x"), Type: kinds[rnd.IntN(len(kinds))], Source: places[rnd.IntN(len(places))]}
				}
				first, err := s.Append(w.ctx, batch...)
				if err != nil {
					w.Errorf("Append: %v", err)
					return
				}
				mu.Lock()
				for i := range batch {
					stored[first+engine.Seq(i)] = batch[i]
				}
				mu.Unlock()
			}
		})
	}
	ctx, stop := context.WithTimeout(w.ctx, patience)
	defer stop()
	var appended atomic.Bool
	for _, r := range readers {
		reading.Go(func() { r.read(ctx, s, &appended) })
	}
	appending.Wait()
	appended.Store(true)
	reading.Wait()
	for _, r := range readers {
		r.check(stored)
	}
}

// read reads until everything is appended and the lag is gone.
func (r *reader) read(ctx context.Context, s engine.Stream, appended *atomic.Bool) {
	var c engine.Consumer
	for n := 0; ; n++ {
		if c == nil || r.rnd.IntN(20) == 0 {
			if c != nil && r.rnd.IntN(2) == 0 {
				r.no(c.Close(), "Close")
			}
			var err error
			if c, err = s.Consumer(ctx, r.specs[n%len(r.specs)]); err != nil {
				r.Errorf("%s: Consumer: %v", r.name, err)
				return
			}
		}
		if r.rnd.IntN(30) == 0 {
			if err := c.Update(ctx, r.specs[n%len(r.specs)]); err != nil {
				r.Errorf("%s: Update: %v", r.name, err)
			}
		}
		if appended.Load() {
			st, err := c.State(ctx)
			if err != nil || st.Lag == 0 {
				if err != nil {
					r.Errorf("%s: State: %v", r.name, err)
				}
				return
			}
		}
		r.one(ctx, c)
		if ctx.Err() != nil {
			st, _ := c.State(context.Background())
			r.Errorf("%s: still not through: %+v", r.name, st)
			return
		}
	}
}

// one takes a delivery and settles it in one way or another.
func (r *reader) one(ctx context.Context, c engine.Consumer) {
	brief, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	d, err := c.Next(brief)
	switch n := r.rnd.IntN(20); {
	case errors.Is(err, context.DeadlineExceeded):
		return
	case err != nil:
	case n < 2:
		err = c.Retry(ctx, d.Seq, time.Duration(r.rnd.IntN(1000))*time.Microsecond)
	case n < 4:
		err = c.Release(ctx, d.Seq)
	case n == 4: // later, with the next opening
	default:
		r.got[d.Seq]++
		err = c.Ack(ctx, d.Seq)
	}
	if err != nil && ctx.Err() == nil {
		r.Errorf("%s: %v", r.name, err)
	}
}

func (r *reader) check(stored map[engine.Seq]engine.Payload) {
	missing := 0
	for _, seq := range slices.Sorted(maps.Keys(stored)) {
		always := true
		for _, spec := range r.specs {
			i, p := spec.Interest, stored[seq]
			always = always && (len(i.Types) == 0 || slices.Contains(i.Types, p.Type)) &&
				(len(i.Sources) == 0 || slices.Contains(i.Sources, p.Source))
		}
		if n := r.got[seq]; n > 1 || always && n == 0 {
			if missing++; missing < 5 {
				r.Errorf("%s, who wants %+v, got seq %d (%s %s) %d times", r.name, r.specs, seq, stored[seq].Type, stored[seq].Source, n)
			}
		}
	}
}
