package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// plan is what is to be sent.
type plan struct {
	events int           // at most; a multiple of the batch
	most   time.Duration // no new request is begun after it; 0 is no bound
	// rate is of events per second, at even distances whether or not earlier
	// ones were answered (an open loop). 0 sends the next when an answer comes.
	rate float64
}

// offset is when the event is to be sent, after the first.
func (p plan) offset(id int) time.Duration {
	if p.rate == 0 {
		return 0
	}
	return time.Duration(float64(id) / p.rate * float64(time.Second))
}

// answerTime is how long the senders wait for any answer.
const answerTime = time.Minute

// senders are connections to a server on which requests are sent, one at a time
// on each, by one goroutine. Not safe for concurrent use.
type senders struct {
	poll  *poller
	conns map[int32]*senderConn
	idle  []*senderConn
	in    []byte // what was read last
	batch int
}

type senderConn struct {
	fd  int
	req *request
	out []byte // what is still to be written of req
	in  []byte // the beginning of an answer that is not all there
}

// newSenders connects n senders; each has a request of its own from make.
func newSenders(url string, n, batch int, request func(i int) *request) (*senders, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	s := &senders{poll: poll, conns: map[int32]*senderConn{}, in: make([]byte, 64<<10), batch: max(batch, 1)}
	for i := range n {
		fd, err := dial(url)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		c := &senderConn{fd: fd, req: request(i)}
		s.conns[int32(fd)], s.idle = c, append(s.idle, c)
		if err := poll.add(fd); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *senders) close() error {
	var errs []error
	for _, c := range s.conns {
		errs = append(errs, syscall.Close(c.fd))
	}
	s.poll.close()
	return errors.Join(errs...)
}

// send carries out the plan from start on and returns how many events were
// sent. All were answered with a 2xx if there is no error.
func (s *senders) send(ctx context.Context, p plan, start time.Time) (sent int, err error) {
	limit, now, answered := p.events, time.Now(), time.Now()
	for sent < limit || len(s.idle) < len(s.conns) {
		for len(s.idle) > 0 && sent < limit && !start.Add(p.offset(sent)).After(now) {
			c := s.idle[len(s.idle)-1]
			s.idle = s.idle[:len(s.idle)-1]
			c.req.number(sent)
			sent += s.batch
			if err := s.begin(c); err != nil {
				return sent, err
			}
		}
		wait := time.Second
		if len(s.idle) > 0 && sent < limit {
			wait = min(wait, start.Add(p.offset(sent)).Sub(now))
		}
		ready, err := s.poll.wait(wait)
		if err != nil {
			return sent, err
		}
		now = time.Now()
		for _, e := range ready {
			if err := s.handle(s.conns[e.Fd], e.Events); err != nil {
				return sent, err
			}
		}
		switch {
		case ctx.Err() != nil:
			return sent, context.Cause(ctx)
		case len(ready) > 0 || len(s.idle) == len(s.conns):
			answered = now
		case now.Sub(answered) > answerTime:
			return sent, fmt.Errorf("%d requests without an answer for %v", len(s.conns)-len(s.idle), answerTime)
		}
		if p.most > 0 && now.Sub(start) > p.most {
			limit = min(limit, sent)
		}
	}
	return sent, nil
}

// begin writes the request of the connection, or as much as there is room for.
func (s *senders) begin(c *senderConn) error {
	c.out = c.req.bytes
	if err := s.write(c); err != nil || len(c.out) == 0 {
		return err
	}
	return s.poll.room(c.fd, true)
}

func (s *senders) write(c *senderConn) error {
	n, err := syscall.Write(c.fd, c.out)
	if err != nil && !again(err) {
		return fmt.Errorf("send: %w", err)
	}
	c.out = c.out[max(n, 0):]
	return nil
}

func (s *senders) handle(c *senderConn, events uint32) error {
	if len(c.out) > 0 && events&syscall.EPOLLOUT != 0 {
		if err := s.write(c); err != nil {
			return err
		}
		if len(c.out) == 0 {
			if err := s.poll.room(c.fd, false); err != nil {
				return err
			}
		}
	}
	if events&^syscall.EPOLLOUT == 0 {
		return nil
	}
	n, err := syscall.Read(c.fd, s.in)
	switch {
	case err != nil && again(err):
		return nil
	case err != nil:
		return fmt.Errorf("read an answer: %w", err)
	case n == 0:
		return fmt.Errorf("read an answer: %w", io.ErrUnexpectedEOF)
	}
	return s.answer(c, s.in[:n])
}

// answer takes what was read; when the answer is whole, the connection is idle.
func (s *senders) answer(c *senderConn, data []byte) error {
	if len(c.in) > 0 {
		c.in = append(c.in, data...)
		data = c.in
	}
	status, length, err := parseResponse(data)
	switch {
	case err != nil:
		return err
	case length == 0:
		if len(c.in) == 0 {
			c.in = append(c.in, data...)
		}
		return nil
	case length < len(data) || len(c.out) > 0:
		return fmt.Errorf("%d bytes more than an answer", len(data)-length)
	case status/100 != 2:
		return fmt.Errorf("the answer was %d: %.300q", status, data)
	}
	c.in = c.in[:0]
	s.idle = append(s.idle, c)
	return nil
}
