package http1

import (
	"sync"
	"time"
)

// idle keeps the connections that no exchange uses.
type idle struct {
	timeout      time.Duration
	perHost, max int

	mu sync.Mutex
	// byAddr holds those of an address, the last used one at the end. No list is
	// empty.
	byAddr map[string][]*conn
	n      int
	// sweep is set while a sweep is due, which is while there are any.
	sweep *time.Timer
}

// take returns the connection that was used last, nil if there is none.
func (i *idle) take(addr string) *conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.byAddr[addr]
	if len(all) == 0 {
		return nil
	}
	last := len(all) - 1
	c := all[last]
	all[last] = nil
	i.set(addr, all[:last])
	return c
}

// put keeps a connection, or closes it where there are enough.
func (i *idle) put(c *conn) {
	c.since = time.Now()
	if !i.keep(c) {
		c.close()
	}
}

func (i *idle) keep(c *conn) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.byAddr[c.addr]
	if i.n >= i.max || len(all) >= i.perHost {
		return false
	}
	i.set(c.addr, append(all, c))
	if i.sweep == nil {
		i.sweep = time.AfterFunc(i.timeout, i.closeOld)
	}
	return true
}

// set replaces the list of an address. i.mu is held.
func (i *idle) set(addr string, all []*conn) {
	i.n += len(all) - len(i.byAddr[addr])
	if len(all) == 0 {
		delete(i.byAddr, addr)
	} else {
		i.byAddr[addr] = all
	}
}

// closeOld closes what has been idle for long enough.
func (i *idle) closeOld() {
	for _, c := range i.remove(time.Now().Add(-i.timeout)) {
		c.close()
	}
}

// CloseIdle closes the connections that are idle. Exchanges under way go on.
func (i *idle) CloseIdle() {
	for _, c := range i.remove(time.Now()) {
		c.close()
	}
}

// remove returns the connections that have been idle since before, which are no
// longer kept.
func (i *idle) remove(before time.Time) (old []*conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for addr, all := range i.byAddr {
		n := 0
		for n < len(all) && !all[n].since.After(before) {
			n++
		}
		old = append(old, all[:n]...)
		clear(all[:n])
		i.set(addr, all[n:])
	}
	switch {
	case i.n == 0 && i.sweep != nil:
		i.sweep.Stop()
		i.sweep = nil
	case i.n > 0:
		i.sweep.Reset(i.timeout)
	}
	return old
}
