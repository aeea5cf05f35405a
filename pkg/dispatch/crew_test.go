package dispatch

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A crew serves all there is, at most limit at a time, and nothing waits while
// a worker lingers, whatever the times at which work comes and ends.
func TestCrewServesAll(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			const limit, jobs = 4, 500
			queue := make(chan time.Duration, jobs)
			var wg sync.WaitGroup
			var busy, served atomic.Int32
			c := newCrew(context.Background(), &wg, limit, func(c *crew) {
				for {
					var job time.Duration
					select {
					case job = <-queue:
					case <-c.ctx.Done():
						c.gone()
						return
					}
					c.took()
					if n := busy.Add(1); n > limit {
						t.Errorf("%d workers are busy, want at most %d", n, limit)
					}
					time.Sleep(job)
					busy.Add(-1)
					served.Add(1)
					if !c.again() {
						return
					}
				}
			})
			// Gaps and jobs that end when others linger out.
			times := []time.Duration{0, 1, linger / 2, linger, linger + 1, 2 * linger}
			for range jobs {
				queue <- times[rnd.IntN(len(times))]
				time.Sleep(times[rnd.IntN(len(times))])
				synctest.Wait()
				if len(queue) > 0 && busy.Load() < limit {
					t.Fatalf("seed %d: work waits while %d of %d workers are busy", seed, busy.Load(), limit)
				}
			}
			time.Sleep(jobs * 2 * linger)
			if served.Load() != jobs {
				t.Errorf("seed %d: %d of %d jobs were served", seed, served.Load(), jobs)
			}
			synctest.Wait()
			if c.size != 1 || c.waiting != 1 || c.idle != 0 {
				t.Errorf("seed %d: an idle crew has %d workers, %d wait, %d linger", seed, c.size, c.waiting, c.idle)
			}
			c.stop()
			wg.Wait()
			if c.size != 0 {
				t.Errorf("seed %d: %d workers are left", seed, c.size)
			}
		})
	}
}

// A worker that would end takes the token that was meant for it: nobody else
// would.
func TestCrewTokenIsNotLost(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := &crew{ctx: ctx, wg: &sync.WaitGroup{}, limit: 2, size: 2, waiting: 1, idle: 1, wake: make(chan struct{}, 1)}
	c.took() // wakes the one that lingers, at the moment at which its time is up
	if c.retire() {
		t.Error("the worker ended, and nobody waits for work")
	}
	if c.waiting != 1 || c.size != 2 || len(c.wake) != 0 {
		t.Errorf("%d wait of %d", c.waiting, c.size)
	}
}
