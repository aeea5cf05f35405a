package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// serveRole is one of the baselines. It prints its address and runs until its
// standard input closes.
func serveRole(ctx context.Context, role, target string) error {
	var handler http.Handler
	switch role {
	case "bare":
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusAccepted)
		})
	case "proxy":
		u, err := url.Parse(target)
		if err != nil {
			return err
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
		proxy.Transport = &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute}
		handler = proxy
	default:
		return fmt.Errorf("role %q: must be bare or proxy", role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

// process is a server under measurement.
type process struct {
	url  string
	cmd  *exec.Cmd
	in   io.Closer
	done chan error
}

// startRole starts a baseline.
func startRole(role, target string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, "-role", role, "-target", target)
	return start(cmd, func(line string) (string, bool) { return line, strings.HasPrefix(line, "http://") }, true)
}

// startLeat starts a broker on a new data folder with the manifests.
func startLeat(bin, dir, manifests string) (*process, error) {
	if err := os.MkdirAll(filepath.Join(dir, "manifests"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests", "bench.yaml"), []byte(manifests), 0o644); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, "serve", "--manifests", filepath.Join(dir, "manifests"),
		"--data", filepath.Join(dir, "data"), "--listen", addr, "--admin", "127.0.0.1:0")
	return start(cmd, func(line string) (string, bool) {
		return "http://" + addr, strings.Contains(line, `"msg":"serving"`)
	}, false)
}

// start runs cmd and waits until a line of its output says that it serves.
func start(cmd *exec.Cmd, ready func(line string) (string, bool), stdout bool) (*process, error) {
	p := &process{cmd: cmd, done: make(chan error, 1)}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	var out io.ReadCloser
	if stdout {
		cmd.Stderr = os.Stderr
		out, err = cmd.StdoutPipe()
	} else {
		out, err = cmd.StderrPipe()
	}
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	url := make(chan string, 1)
	go func() {
		var last []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if u, ok := ready(lines.Text()); ok {
				select {
				case url <- u:
				default:
				}
			}
			last = append(last[max(0, len(last)-9):], lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			p.done <- fmt.Errorf("%w: %s", err, strings.Join(last, "\n"))
			return
		}
		p.done <- nil
	}()
	select {
	case p.url = <-url:
		return p, nil
	case err := <-p.done:
		return nil, fmt.Errorf("%s ended before it served: %w", cmd.Path, err)
	case <-time.After(time.Minute):
		return nil, errors.Join(fmt.Errorf("%s did not serve within a minute", cmd.Path), cmd.Process.Kill())
	}
}

// stop ends the process in its own orderly way.
func (p *process) stop() error {
	_ = p.in.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			return nil // a baseline has no orderly way
		}
		return err
	case <-time.After(time.Minute):
		return errors.Join(fmt.Errorf("%s did not end within a minute", p.cmd.Path), p.cmd.Process.Kill())
	}
}

// cpu is the processor time that the process has used so far.
func (p *process) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, system int64
	if _, err := fmt.Sscan(fields[11], &user); err != nil {
		return 0
	}
	if _, err := fmt.Sscan(fields[12], &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
