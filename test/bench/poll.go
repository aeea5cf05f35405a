package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// poller waits for many sockets with one system call, in one goroutine: the
// harness shares the processors with what it measures, and a goroutine for each
// connection costs a wake-up for each answer. Not safe for concurrent use.
type poller struct {
	fd     int
	events [256]syscall.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { _ = syscall.Close(p.fd) }

// add watches a socket until it is removed.
func (p *poller) add(fd int) error { return p.control(syscall.EPOLL_CTL_ADD, fd, false) }

// room also watches for room to write, or no longer.
func (p *poller) room(fd int, want bool) error { return p.control(syscall.EPOLL_CTL_MOD, fd, want) }

// remove no longer watches a socket. To close it would not be enough: a process
// that is being started may have a copy for a moment, and then it stays watched.
func (p *poller) remove(fd int) error { return p.control(syscall.EPOLL_CTL_DEL, fd, false) }

func (p *poller) control(op, fd int, write bool) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if write {
		e.Events |= syscall.EPOLLOUT
	}
	if err := syscall.EpollCtl(p.fd, op, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// sysEpollPwait2 has this number on every architecture. Unlike epoll_wait it
// waits to the nanosecond.
const sysEpollPwait2 = 441

// wait returns the sockets on which something happened, none after the timeout.
// They are valid until the next call.
func (p *poller) wait(timeout time.Duration) ([]syscall.EpollEvent, error) {
	ts := syscall.NsecToTimespec(max(0, timeout).Nanoseconds())
	n, _, errno := syscall.Syscall6(sysEpollPwait2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return p.events[:n], nil
	case syscall.EINTR:
		return nil, nil
	default:
		return nil, fmt.Errorf("epoll_pwait2: %w", errno)
	}
}

// again says that a socket has nothing to read, or no room, at present.
func again(err error) bool { return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) }
