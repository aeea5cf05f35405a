package harness

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
)

// Port is a port of 127.0.0.1 that refuses connections until Serve, and that
// nobody else can take.
type Port struct {
	URL string

	t  testing.TB
	fd int
}

// ReservePort returns a Port that is given back at the end of the test.
func ReservePort(t testing.TB) *Port {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) }) // nothing was written to it
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return &Port{URL: fmt.Sprintf("http://127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port), t: t, fd: fd}
}

// Serve answers on the port from now on, until the end of the test.
func (p *Port) Serve(handler http.Handler) {
	p.t.Helper()
	if err := syscall.Listen(p.fd, syscall.SOMAXCONN); err != nil {
		p.t.Fatal(err)
	}
	own, err := syscall.Dup(p.fd)
	if err != nil {
		p.t.Fatal(err)
	}
	file := os.NewFile(uintptr(own), p.URL)
	listener, err := net.FileListener(file)
	_ = file.Close() // the listener has a copy of its own
	if err != nil {
		p.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close() // the port that it chose is not wanted
	server.Listener = listener
	server.Start()
	p.t.Cleanup(server.Close)
}
