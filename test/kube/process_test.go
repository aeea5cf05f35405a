package kube

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A program is one of the processes that the tests run, started any number of
// times one after the other. Its log is a file that all its lives share.
type program struct {
	name string
	path string
	args []string
	env  []string
	log  string

	cmd    *exec.Cmd
	exited chan struct{}
	// killed is true if a test has ended it.
	killed bool
}

func newProgram(dir, name, path string, args ...string) *program {
	return &program{name: name, path: path, args: args, log: filepath.Join(dir, name+".log")}
}

// starts are run on one thread that lives as long as this process: the kernel
// kills a child with the thread that started it, which is how nothing stays
// behind when the tests die without a word.
var starts = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
}

func (p *program) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = p.env
	cmd.Stdout, cmd.Stderr = log, log
	// In a group of its own it does not get the signals of a terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error)
	starts <- func() { done <- cmd.Start() }
	if err := <-done; err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited, p.killed = cmd, exited, false
	go func() {
		defer close(exited)
		_ = cmd.Wait() // what it says is in ProcessState
	}()
	return nil
}

// running says whether it was started and has not ended.
func (p *program) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal to the process, if it runs. It has no children.
func (p *program) signal(s syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %s to %s: %w", s, p.name, err)
	}
	return nil
}

// kill ends it with SIGKILL and waits for the end.
func (p *program) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	p.killed = true
	if p.cmd != nil {
		<-p.exited
	}
	return nil
}

// stop ends it with SIGTERM. The error is nil if its exit code is 0, or if a
// test has killed it.
func (p *program) stop() error {
	if p.cmd == nil || p.killed {
		return nil
	}
	if !p.running() {
		return fmt.Errorf("%s ended before it was told to: %s", p.name, p.cmd.ProcessState)
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s still runs %v after SIGTERM", p.name, stopTimeout), p.kill())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with %s", p.name, p.cmd.ProcessState)
	}
	return nil
}

// waitLog waits until a line of the log contains the text.
func (p *program) waitLog(t testing.TB, text string) {
	t.Helper()
	eventually(t, func() error {
		if log, err := os.ReadFile(p.log); err != nil || !bytes.Contains(log, []byte(text)) {
			return fmt.Errorf("%s has not logged %q: %w", p.name, text, err)
		}
		return nil
	})
}

// tail returns the last lines of the log, without those that a controller
// writes of all that it does.
func (p *program) tail(lines int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return line == "" || strings.Contains(line, "Reconcile succeeded") || strings.Contains(line, "inalizer")
	})
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// given are the ports that freeAddress has returned.
var given sync.Map

// freeAddress returns an address of the loopback interface that nothing listens
// on. Its port is none that the kernel gives to a client, so that it is still
// free when a program that was killed comes back to it.
func freeAddress() (string, error) {
	const from, to, tries = 20_000, 30_000, 100
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", from+rand.IntN(to-from))
		if _, taken := given.LoadOrStore(address, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("none of %d ports between %d and %d is free", tries, from, to)
}

// freeAddresses sets each to one of its own.
func freeAddresses(all ...*string) error {
	for _, a := range all {
		var err error
		if *a, err = freeAddress(); err != nil {
			return err
		}
	}
	return nil
}
