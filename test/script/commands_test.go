package script

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"leat.dev/leat/test/harness"
)

// patience is how long a script waits for what must come.
const patience = 20 * time.Second

var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":          positive(-2, exits),
	"serve":          positive(-1, serve),
	"stop":           positive(0, stop),
	"log":            positive(-2, waitLog),
	"subscriber":     positive(1, startSubscriber),
	"answer":         positive(2, setAnswer),
	"received":       positive(-3, received),
	"received-times": positive(-4, receivedTimes),
	"post":           positive(3, post),
	"get":            positive(2, get),
	"dead-letters":   positive(3, waitDeadLetters),
	"settled":        positive(1, waitSettled),
	"parked":         positive(2, waitParked),
	"occupy":         positive(0, occupy),
	"expand":         positive(-2, expand),
}

// positive makes a command that cannot be negated and takes n arguments, or at
// least -n-1 if n is negative.
func positive(n int, f func(*testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || n >= 0 && len(args) != n || n < 0 && len(args) < -n-1 {
			ts.Fatalf("wrong use; see the list of commands in script_test.go")
		}
		f(ts, args)
	}
}

func exits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func serve(ts *testscript.TestScript, args []string) {
	w := worldOf(ts)
	if w.process != nil {
		ts.Fatalf("leat serve runs already")
	}
	cmd := exec.Command(harness.Executable, append([]string{"serve"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environment(ts)
	p, err := startProcess(cmd)
	ts.Check(err)
	w.process = p
	listen, admin, err := p.serving()
	ts.Check(err)
	ts.Setenv("URL", "http://"+listen)
	ts.Setenv("ADMIN", "http://"+admin)
	ts.Setenv("OPERATOR", admin)
}

// environment is the script's, with what leat reads of it.
func environment(ts *testscript.TestScript) []string {
	env := []string{"HOME=" + ts.Getenv("HOME")}
	for _, name := range []string{"MANIFESTS", "DATA", "LISTEN", "ADMIN", "LOG_LEVEL", "LOG_FORMAT"} {
		if value := ts.Getenv("LEAT_" + name); value != "" {
			env = append(env, "LEAT_"+name+"="+value)
		}
	}
	return env
}

func stop(ts *testscript.TestScript, _ []string) {
	w := worldOf(ts)
	if w.process == nil {
		ts.Fatalf("leat serve does not run")
	}
	code, err := w.process.end(syscall.SIGTERM)
	ts.Check(err)
	ts.Logf("%s", w.process.log())
	w.process = nil
	if code != 0 {
		ts.Fatalf("leat serve ended with %d after SIGTERM, want 0", code)
	}
}

func waitLog(ts *testscript.TestScript, texts []string) {
	p := worldOf(ts).process
	wait(ts, func() bool { return anyHasAll(p.lines(), texts) }, func() string { return "the log:\n" + p.log() })
}

func received(ts *testscript.TestScript, args []string) {
	s := subscriberOf(ts, args[0])
	wait(ts, func() bool { return anyHasAll(s.requests(), args[1:]) },
		func() string { return "the requests:\n" + strings.Join(s.requests(), "\n") })
}

func receivedTimes(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	s := subscriberOf(ts, args[1])
	count := func() (n int) {
		for _, r := range s.requests() {
			if anyHasAll([]string{r}, args[2:]) {
				n++
			}
		}
		return n
	}
	wait(ts, func() bool { return count() >= want },
		func() string { return "the requests:\n" + strings.Join(s.requests(), "\n") })
	if n := count(); n != want {
		ts.Fatalf("%d requests, want %d", n, want)
	}
}

func wait(ts *testscript.TestScript, ok func() bool, shown func() string) {
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("not within %v; %s", patience, shown())
		}
	}
}

func anyHasAll(all []string, texts []string) bool {
	return slices.ContainsFunc(all, func(s string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) })
	})
}

func post(ts *testscript.TestScript, args []string) {
	head, body, _ := strings.Cut(ts.ReadFile(args[2]), "\n\n")
	req, err := http.NewRequest(http.MethodPost, args[1], strings.NewReader(strings.TrimSuffix(body, "\n")))
	ts.Check(err)
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		req.Header.Add(name, value)
	}
	do(ts, args[0], req)
}

func get(ts *testscript.TestScript, args []string) {
	req, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	do(ts, args[0], req)
}

func do(ts *testscript.TestScript, status string, req *http.Request) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	ts.Check(err)
	var text bytes.Buffer
	_, err = io.Copy(&text, resp.Body)
	ts.Check(errors.Join(err, resp.Body.Close()))
	fmt.Fprint(ts.Stdout(), text.String())
	if got := strconv.Itoa(resp.StatusCode); got != status {
		ts.Fatalf("%s %s was answered %s, want %s: %s", req.Method, req.URL, got, status, text.String())
	}
}

// waitDeadLetters waits until leat dead-letters list counts so many.
func waitDeadLetters(ts *testscript.TestScript, args []string) {
	var page struct{ Count int }
	waitShown(ts, &page, func() bool { return strconv.Itoa(page.Count) == args[0] }, "dead-letters", "list", args[1], args[2])
}

// waitSettled waits until leat streams shows no lag.
func waitSettled(ts *testscript.TestScript, args []string) {
	var stream struct{ Lag, Head int }
	waitShown(ts, &stream, func() bool { return stream.Lag == 0 && stream.Head > 0 }, "streams", args[0])
}

// waitParked waits until leat streams shows so many retries of the first route
// that wait for their time.
func waitParked(ts *testscript.TestScript, args []string) {
	var stream struct{ Routes []struct{ Parked int } }
	waitShown(ts, &stream, func() bool {
		return len(stream.Routes) > 0 && strconv.Itoa(stream.Routes[0].Parked) == args[0]
	}, "streams", args[1])
}

// waitShown runs a command of leat until what it shows as JSON, in v, is right.
func waitShown(ts *testscript.TestScript, v any, ok func() bool, command ...string) {
	command = append(command, "-o", "json", "--admin", ts.Getenv("OPERATOR"))
	var out []byte
	var err error
	wait(ts, func() bool {
		out, err = exec.Command(harness.Executable, command...).Output()
		return err == nil && json.Unmarshal(out, v) == nil && ok()
	}, func() string { return fmt.Sprintf("leat %s: %s %v", strings.Join(command, " "), out, err) })
}

func occupy(ts *testscript.TestScript, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv("OCCUPIED", l.Addr().String())
}

func expand(ts *testscript.TestScript, files []string) {
	for _, f := range files {
		text := os.Expand(ts.ReadFile(f), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o644))
	}
}
