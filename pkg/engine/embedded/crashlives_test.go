package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"leat.dev/leat/pkg/engine"
)

// What happens in the lives of a stream that is removed again and again:
// event.attempt is the life, event.seq which of its records.
const (
	making, made   = "making", "made"
	putting, put   = "putting", "put"
	ending, ended  = "ending", "ended"
	mortal         = "mortal"
	recordsPerLife = 8
)

func crashLives(stop context.Context, c *crasher, e *Engine, rnd *rand.Rand) error {
	ctx := context.Background()
	for life := 1; stop.Err() == nil; life++ {
		happens := func(kind string, n int) { c.h.add(event{kind: kind, attempt: life, seq: engine.Seq(n)}) }
		happens(making, 0)
		s, err := e.Stream(ctx, engine.StreamSpec{Name: mortal, Retention: engine.KeepForever})
		if err != nil {
			return err
		}
		happens(made, 0)
		for n := range 1 + rnd.IntN(recordsPerLife) {
			happens(putting, n)
			if _, err := s.Append(ctx, engine.Payload{Data: fmt.Appendf(nil, "%d %d", life, n)}); err != nil {
				return err
			}
			happens(put, n)
			time.Sleep(time.Duration(rnd.IntN(500)) * time.Microsecond)
		}
		happens(ending, 0)
		if err := e.Remove(ctx, mortal); err != nil {
			return err
		}
		happens(ended, 0)
	}
	return nil
}

// checkLives: what is there is one life, in full, and none that has ended.
func checkLives(e *Engine, before, asked []event) error {
	ctx := context.Background()
	last, records, over := 0, 0, map[int]bool{}
	for _, ev := range before {
		switch ev.kind {
		case made:
			last, records = ev.attempt, 0
		case put:
			records = int(ev.seq) + 1
		case ended:
			over[ev.attempt] = true
		}
	}
	mayEnd := slices.ContainsFunc(asked, func(ev event) bool { return ev.kind == ending && ev.attempt == last })
	names, err := e.Streams(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(names, mortal) {
		if last > 0 && !mayEnd {
			return fmt.Errorf("%s: LOST: life %d", mortal, last)
		}
		return nil
	}
	s, err := e.Stream(ctx, engine.StreamSpec{Name: mortal, Retention: engine.KeepForever})
	if err != nil {
		return err
	}
	got, err := s.Read(ctx, 1, 2*recordsPerLife)
	if err != nil {
		return err
	}
	life := 0
	for i, r := range got {
		var n int
		_, err := fmt.Sscan(string(r.Data), &life, &n)
		if err != nil || n != i || r.Seq != engine.Seq(i+1) || life < last || over[life] {
			return errors.Join(err, fmt.Errorf("%s: record %d at %d is %q, in life %d", mortal, r.Seq, i, r.Data, last))
		}
	}
	if !mayEnd && len(got) < records {
		return fmt.Errorf("%s: LOST: %d records of life %d, acknowledged were %d", mortal, len(got), last, records)
	}
	return nil
}
