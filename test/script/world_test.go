package script

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// world is what one script has running.
type world struct {
	process     *process
	subscribers map[string]*subscriber
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func (w *world) end() {
	if w.process != nil {
		_, _ = w.process.end(syscall.SIGKILL) // the script has failed already
	}
	for _, s := range w.subscribers {
		s.server.Close()
	}
}

// process is a leat serve.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu     sync.Mutex
	stderr bytes.Buffer
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stderr = p
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // what it says is in ProcessState
	}()
	return p, nil
}

// Write implements io.Writer for the process's standard error.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

func (p *process) lines() []string { return strings.Split(p.log(), "\n") }

// serving waits for the line that says where it listens, in JSON or as text.
func (p *process) serving() (listen, admin string, err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		ended := p.ended()
		for _, line := range p.lines() {
			if listen, admin = parseServing(line); listen != "" {
				return listen, admin, nil
			}
		}
		if ended {
			return "", "", fmt.Errorf("leat serve has ended:\n%s", p.log())
		}
	}
	return "", "", fmt.Errorf("leat serve does not say where it listens:\n%s", p.log())
}

func parseServing(line string) (listen, admin string) {
	var s struct{ Msg, Listen, Admin string }
	if json.Unmarshal([]byte(line), &s) == nil && s.Msg == "serving" {
		return s.Listen, s.Admin
	}
	if !strings.Contains(line, "msg=serving") {
		return "", ""
	}
	for _, field := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(field, "listen="); ok {
			listen = v
		}
		if v, ok := strings.CutPrefix(field, "admin="); ok {
			admin = v
		}
	}
	return listen, admin
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// end sends the signal and returns the exit code.
func (p *process) end(sig syscall.Signal) (int, error) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		err := p.cmd.Process.Kill()
		<-p.exited
		return 0, errors.Join(fmt.Errorf("leat serve still runs %v after %v:\n%s", patience, sig, p.log()), err)
	}
}

// subscriber keeps the requests as they came.
type subscriber struct {
	server *httptest.Server
	mu     sync.Mutex
	got    []string
	status int
}

func startSubscriber(ts *testscript.TestScript, args []string) {
	s := &subscriber{status: http.StatusAccepted}
	s.server = httptest.NewServer(s)
	worldOf(ts).subscribers[args[0]] = s
	ts.Setenv(args[0], s.server.URL)
}

func subscriberOf(ts *testscript.TestScript, name string) *subscriber {
	s := worldOf(ts).subscribers[name]
	if s == nil {
		ts.Fatalf("there is no subscriber %s", name)
	}
	return s
}

func setAnswer(ts *testscript.TestScript, args []string) {
	s := subscriberOf(ts, args[0])
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// ServeHTTP implements http.Handler.
func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := httputil.DumpRequest(r, true)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.got = append(s.got, string(text))
	status := s.status
	s.mu.Unlock()
	w.WriteHeader(status)
}

func (s *subscriber) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[:len(s.got):len(s.got)]
}
