package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// dial connects a socket that does not block to a URL's host.
func dial(url string) (fd int, err error) {
	to, err := netip.ParseAddrPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		return 0, err
	}
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	err = syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err == nil {
		err = prepare(fd)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return 0, fmt.Errorf("connect to %s: %w", url, err)
	}
	return fd, nil
}

// prepare makes a connected socket one for a poller.
func prepare(fd int) error {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

// listen returns a listening socket of 127.0.0.1 and its URL.
func listen() (fd int, url string, err error) {
	// By way of net, which knows the machine's longest queue of connections.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, "", err
	}
	defer l.Close() // the copy below stays open
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return 0, "", err
	}
	var dupErr error
	if err := raw.Control(func(own uintptr) {
		if fd, dupErr = syscall.Dup(int(own)); dupErr == nil {
			syscall.CloseOnExec(fd)
			dupErr = syscall.SetNonblock(fd, true)
		}
	}); err != nil {
		return 0, "", err
	}
	return fd, "http://" + l.Addr().String(), dupErr
}
