package dispatch

import (
	"context"
	"sync"
	"time"
)

// linger is how long a worker that is not needed waits for work before it ends.
const linger = time.Second

// crew is the workers of a pump. One of them waits for the next delivery; as
// it gets one it makes another wait in its place (took), serves the delivery
// itself, and then asks whether it is needed (again). So a delivery changes no
// goroutine while there is a backlog, and an idle route has one goroutine.
type crew struct {
	// ctx ends when no more deliveries are to be taken.
	ctx  context.Context
	stop context.CancelFunc
	work func(*crew)

	// wg counts the workers, for whoever waits for them after stop.
	wg *sync.WaitGroup
	// wake has room for the one token that can be under way: a token makes
	// waiting 1, and there is none while waiting is above 0.
	wake chan struct{}

	mu      sync.Mutex
	limit   int // most workers, at least 1
	size    int // workers alive
	waiting int // workers that wait for a delivery, or are on their way to
	idle    int // workers that linger, and are not woken yet
}

// newCrew starts a crew of one. work is run by every worker: it must call took
// and again as they say, and gone when it ends for another reason.
func newCrew(ctx context.Context, wg *sync.WaitGroup, limit int, work func(*crew)) *crew {
	ctx, stop := context.WithCancel(ctx)
	c := &crew{ctx: ctx, stop: stop, work: work, wg: wg, limit: max(limit, 1), wake: make(chan struct{}, 1)}
	c.mu.Lock()
	c.relieve()
	c.mu.Unlock()
	return c
}

// relieve makes a worker wait if none does and there may be one more.
func (c *crew) relieve() {
	if c.waiting > 0 || c.ctx.Err() != nil {
		return
	}
	switch {
	case c.idle > 0:
		c.idle--
		c.waiting++
		c.wake <- struct{}{}
	case c.size < c.limit:
		c.size++
		c.waiting++
		c.wg.Go(func() { c.work(c) })
	}
}

// took says that the caller has left waiting with a delivery.
func (c *crew) took() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	c.relieve()
}

// gone says that the caller has left waiting for good.
func (c *crew) gone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	c.size--
}

// again says that the caller has served its delivery, and answers whether it
// is to wait for the next one; otherwise it must end.
func (c *crew) again() bool {
	c.mu.Lock()
	if c.ctx.Err() != nil || c.size > c.limit {
		c.size--
		c.mu.Unlock()
		return false
	}
	if c.waiting == 0 {
		c.waiting++
		c.mu.Unlock()
		return true
	}
	c.idle++
	c.mu.Unlock()

	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-c.wake:
		return true
	case <-c.ctx.Done():
	case <-timer.C:
	}
	return !c.retire()
}

// retire takes a lingering worker out, unless a token is under way that
// nobody else would take.
func (c *crew) retire() bool {
	c.mu.Lock()
	if c.idle > 0 {
		c.idle--
		c.size--
		c.mu.Unlock()
		return true
	}
	c.mu.Unlock()
	<-c.wake
	return false
}

// setLimit changes how many workers there may be.
func (c *crew) setLimit(limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = max(limit, 1)
	c.relieve()
}
