package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// server is a process under measurement.
type server interface {
	PID() int
	Stop() error
}

// roleTime bounds the start and the end of a baseline.
const roleTime = time.Minute

// roleProcess is a baseline: this program in another role.
type roleProcess struct {
	url string
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// startRole starts a baseline, which prints its URL.
func startRole(args ...string) (*roleProcess, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &roleProcess{cmd: exec.Command(exe, args...)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	timer := time.AfterFunc(roleTime, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	line, err := p.out.ReadString('\n')
	if p.url = strings.TrimSpace(line); err != nil {
		return nil, errors.Join(fmt.Errorf("%v did not start: %w", args, err), p.cmd.Wait())
	}
	return p, nil
}

// PID implements server.
func (p *roleProcess) PID() int { return p.cmd.Process.Pid }

// Stop closes the standard input of the process, which ends it.
func (p *roleProcess) Stop() error {
	_ = p.in.Close() // it may have ended by itself
	timer := time.AfterFunc(roleTime, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	return p.cmd.Wait()
}

// cpuTime is the processor time that a process has used so far.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// tick is the unit of the kernel's times in /proc, the same on every Linux that
// Go runs on.
const tick = 10 * time.Millisecond

// parseStat adds user and system time of a /proc/PID/stat.
func parseStat(stat []byte) (time.Duration, error) {
	// The name in parentheses may hold anything; the fields behind it are numbers.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields behind the name", len(fields))
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}

// residentBytes is the memory of a process that is in RAM.
func residentBytes(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseResident(string(status))
}

func parseResident(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/PID/status has no VmRSS")
}
