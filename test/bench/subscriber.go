package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// conduct is how the subscriber behaves during a measurement.
type conduct struct {
	*tally
	// work is how long it takes for each event.
	work time.Duration
	// released: nothing is answered before it is set. Nil does not wait.
	released *atomic.Bool
}

// subscriber is an HTTP server that takes events, as cheaply as it can, in one
// goroutine.
type subscriber struct {
	url     string
	conduct atomic.Pointer[conduct]

	listener int
	poll     *poller
	conns    map[int32]*subscriberConn
	in       []byte
	working  []*subscriberConn // in the order in which they are done
	held     []*subscriberConn // until the conduct releases them

	stop atomic.Bool
	done chan error // gets what ended it
}

type subscriberConn struct {
	fd   int
	in   []byte // the beginning of a head that is not all there
	left int    // bytes of the body that are still to come
	body bool   // whether a body is being read

	route, id int
	ready     time.Time // when the work for the event is done
}

// startSubscriber starts one; close ends it.
func startSubscriber() (*subscriber, error) {
	fd, url, err := listen()
	if err != nil {
		return nil, err
	}
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	s := &subscriber{
		url: url, listener: fd, poll: poll, conns: map[int32]*subscriberConn{},
		in: make([]byte, 256<<10), done: make(chan error, 1),
	}
	s.conduct.Store(&conduct{tally: newTally(0, 0)})
	if err := poll.add(fd); err != nil {
		return nil, err
	}
	go func() { s.done <- s.serve() }()
	return s, nil
}

// close ends the subscriber and returns what went wrong in it.
func (s *subscriber) close() error {
	s.stop.Store(true)
	return <-s.done
}

// err is what ended it, nil while it serves.
func (s *subscriber) err() error {
	select {
	case err := <-s.done:
		s.done <- err
		return errors.Join(errors.New("the subscriber has ended"), err)
	default:
		return nil
	}
}

func (s *subscriber) serve() error {
	defer s.poll.close()
	for !s.stop.Load() {
		ready, err := s.poll.wait(s.patience())
		if err != nil {
			return err
		}
		for _, e := range ready {
			if int(e.Fd) == s.listener {
				err = s.accept()
			} else {
				err = s.read(s.conns[e.Fd])
			}
			if err != nil {
				return err
			}
		}
		if err := s.finish(); err != nil {
			return err
		}
	}
	for _, c := range s.conns {
		_ = syscall.Close(c.fd)
	}
	return syscall.Close(s.listener)
}

// patience is how long to wait for the sockets at most.
func (s *subscriber) patience() time.Duration {
	switch {
	case len(s.working) > 0:
		return time.Until(s.working[0].ready)
	case len(s.held) > 0:
		return time.Millisecond
	default:
		return 100 * time.Millisecond
	}
}

func (s *subscriber) accept() error {
	fd, _, err := syscall.Accept4(s.listener, syscall.SOCK_CLOEXEC)
	if err != nil && (again(err) || errors.Is(err, syscall.ECONNABORTED)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	if err := prepare(fd); err != nil {
		return err
	}
	s.conns[int32(fd)] = &subscriberConn{fd: fd}
	return s.poll.add(fd)
}

func (s *subscriber) read(c *subscriberConn) error {
	n, err := syscall.Read(c.fd, s.in)
	switch {
	case err != nil && again(err):
		return nil
	case err != nil || n == 0: // the sender has gone
		delete(s.conns, int32(c.fd))
		return errors.Join(s.poll.remove(c.fd), syscall.Close(c.fd))
	}
	data := s.in[:n]
	if len(c.in) > 0 {
		data = append(c.in, data...)
		c.in = nil
	}
	return s.take(c, data)
}

// take takes what has come of one request after the other.
func (s *subscriber) take(c *subscriberConn, data []byte) error {
	for {
		if c.body {
			n := min(c.left, len(data))
			c.left, data = c.left-n, data[n:]
			if c.left > 0 {
				return nil
			}
			c.body = false
			if err := s.got(c); err != nil {
				return err
			}
		}
		if len(data) == 0 {
			return nil
		}
		head, length, err := cutHead(data)
		if err != nil {
			return err
		}
		if length == 0 {
			c.in = append([]byte(nil), data...)
			return nil
		}
		r, err := parseRequest(head)
		if err != nil {
			return err
		}
		c.route, c.id, c.left, c.body = routeOf(r.path), r.id, r.body, true
		data = data[length:]
	}
}

// got works on a request that is all there.
func (s *subscriber) got(c *subscriberConn) error {
	how := s.conduct.Load()
	switch {
	case how.released != nil && !how.released.Load():
		s.held = append(s.held, c)
	case how.work > 0:
		c.ready = time.Now().Add(how.work)
		s.working = append(s.working, c)
	default:
		return s.answer(c, how)
	}
	return nil
}

// finish answers what is worked out or released.
func (s *subscriber) finish() error {
	if len(s.working) == 0 && len(s.held) == 0 {
		return nil
	}
	how := s.conduct.Load()
	if how.released == nil || how.released.Load() {
		for _, c := range s.held {
			if err := s.answer(c, how); err != nil {
				return err
			}
		}
		s.held = s.held[:0]
	}
	now, n := time.Now(), 0
	for n < len(s.working) && !s.working[n].ready.After(now) {
		if err := s.answer(s.working[n], how); err != nil {
			return err
		}
		n++
	}
	s.working = append(s.working[:0], s.working[n:]...)
	return nil
}

var (
	accepted    = []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
	unavailable = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
)

func (s *subscriber) answer(c *subscriberConn, how *conduct) error {
	if s.conns[int32(c.fd)] != c {
		return nil // the sender went away while this worked
	}
	text := accepted
	if how.arrive(c.route, c.id) != 202 {
		text = unavailable
	}
	_, err := syscall.Write(c.fd, text)
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("answer a delivery: %w", err)
	}
	return nil
}
