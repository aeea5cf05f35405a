package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Times that no healthy run comes near; they end one that hangs.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 45 * time.Second
)

// Config says how leat serve is run.
type Config struct {
	// Binary is the path of leat; empty means the one that Main built.
	Binary string
	// Manifests and Data are folders.
	Manifests, Data string
	// Args are added to the command line.
	Args []string
	// Listen and Admin are addresses; empty means a free port of 127.0.0.1.
	Listen, Admin string
}

// Process is one leat serve that runs or has run.
type Process struct {
	// URL and Admin are the base URLs of its two listeners.
	URL, Admin string
	// Listen is URL's address, for the Config of a successor.
	Listen string
	Log    *Log

	cmd    *exec.Cmd
	exited chan struct{}
}

// Run starts leat serve and returns when it serves.
func Run(c Config) (*Process, error) {
	p, err := Launch(c)
	if err != nil {
		return nil, err
	}
	if err := p.waitServing(); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// Launch starts leat serve and does not wait until it serves.
func Launch(c Config) (*Process, error) {
	args := append([]string{
		"serve", "--manifests", c.Manifests, "--data", c.Data,
		"--listen", orLoopback(c.Listen), "--admin", orLoopback(c.Admin),
	}, c.Args...)
	binary := c.Binary
	if binary == "" {
		binary = Executable
	}
	p := &Process{
		cmd:    exec.Command(binary, args...),
		Log:    &Log{more: make(chan struct{})},
		exited: make(chan struct{}),
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting leat: %w", err)
	}
	go func() {
		defer close(p.exited)
		p.Log.read(stderr)
		_ = p.cmd.Wait() // what it says is in ProcessState
	}()
	return p, nil
}

func orLoopback(addr string) string {
	if addr == "" {
		return "127.0.0.1:0"
	}
	return addr
}

// waitServing waits for the line that says where the process listens.
func (p *Process) waitServing() error {
	deadline := time.After(startTimeout)
	for {
		lines, more, ended := p.Log.state()
		for _, line := range lines {
			if s, ok := parseServing(line); ok {
				p.URL, p.Admin, p.Listen = "http://"+s.Listen, "http://"+s.Admin, s.Listen
				return nil
			}
		}
		if ended {
			return fmt.Errorf("leat ended before it served:\n%s", p.Log)
		}
		select {
		case <-more:
		case <-deadline:
			return fmt.Errorf("leat does not serve after %v:\n%s", startTimeout, p.Log)
		}
	}
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode waits until the process ends by itself. It is -1 after a signal.
func (p *Process) ExitCode() (int, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(stopTimeout):
		return 0, errors.Join(fmt.Errorf("leat still runs after %v:\n%s", stopTimeout, p.Log), p.Kill())
	}
}

// Stop sends SIGTERM and waits for the end. The error is nil if the exit code
// is 0. Stopping what has ended is legal.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	code, err := p.ExitCode()
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("leat ended with %s:\n%s", p.cmd.ProcessState, p.Log)
	}
	return nil
}

// Kill sends SIGKILL and waits for the end. Killing what has ended is legal.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

// Signal sends a signal, and nothing to a process that has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// WriteManifest puts a manifest file into the folder, as one step, so that a
// watcher never sees half of it. An empty text removes the file.
func WriteManifest(folder, name, text string) error {
	path := filepath.Join(folder, name)
	if text == "" {
		return os.Remove(path)
	}
	tmp := filepath.Join(folder, "."+name+".tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
