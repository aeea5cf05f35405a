package hostile

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// patience bounds every wait for what must come; a healthy run never waits that
// long.
const patience = 30 * time.Second

// world is a binary under attack, with a healthy sender beside the attacker.
type world struct {
	*harness.Leat
	t      *testing.T
	before vitals
	// sent counts what was answered 202 to the healthy sender and by accept.
	sent atomic.Int64
	// accepted says that the attack has had events accepted that it has not
	// counted.
	accepted   bool
	stop, done chan struct{}
	// worst is the longest that the healthy sender has waited; it is written
	// before done is closed.
	worst time.Duration
}

// config says how the binary is run.
type config struct {
	args []string
	// files bounds its file descriptors; 0 is as many as there are.
	files int
}

func underAttack(t *testing.T, args []string, attack func(*world)) {
	t.Helper()
	underAttackOf(t, config{args: args}, attack)
}

// underAttackOf starts a binary with a Broker "hub" that nobody reads and a
// healthy sender, and attacks it. At the end nothing may be stored but what was
// answered 202, and the binary must be as it was.
func underAttackOf(t *testing.T, c config, attack func(*world)) {
	t.Helper()
	if c.files > 0 {
		defer limitFiles(t, c.files)()
	}
	w := &world{
		Leat: harness.StartWith(t, append([]string{"--profiling"}, c.args...), harness.Broker("hub")), t: t,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	// One request, so that what is made once is made.
	w.accept()
	w.before = w.look()
	go w.send()
	func() {
		defer close(w.stop)
		attack(w)
	}()
	<-w.done
	w.recovers()
}

// limitFiles makes the next binary run with fewer file descriptors. What it
// returns ends that.
func limitFiles(t *testing.T, n int) (restore func()) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "leat")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %q \"$@\"\n", n, harness.Executable)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	real := harness.Executable
	harness.Executable = script
	return func() { harness.Executable = real }
}

// accept sends one event that must be accepted.
func (w *world) accept() {
	w.t.Helper()
	harness.Send(w.t, w.BrokerURL("hub"), harness.Event("healthy"))
	w.sent.Add(1)
}

// send is the healthy sender: an event of some KiB every 10 ms.
func (w *world) send() {
	defer close(w.done)
	header, body := harness.Binary(harness.Event("healthy", harness.Data("text/plain", make([]byte, 3<<10))))
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		began := time.Now()
		r, err := harness.TryDo(w.t.Context(), http.MethodPost, w.BrokerURL("hub"), header, body)
		w.worst = max(w.worst, time.Since(began))
		switch {
		case err != nil:
			w.t.Errorf("the healthy sender: %v", err)
			return
		case r.Status != http.StatusAccepted:
			w.t.Errorf("the healthy sender was answered %d: %s", r.Status, r.Body)
			return
		}
		w.sent.Add(1)
	}
}

// recovers is the end of every test.
func (w *world) recovers() {
	w.t.Helper()
	if w.worst > slowest {
		w.t.Errorf("the healthy sender waited for %v", w.worst)
	}
	if got, want := w.stored(), w.sent.Load(); got != want && !w.accepted || got < want {
		w.t.Errorf("%d events are stored, %d were answered 202", got, want)
	}
	var now vitals
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if now = w.look(); now.goroutines <= w.before.goroutines+10 && now.heap <= w.before.heap+32<<20 && now.files <= w.before.files+10 {
			break
		}
		if time.Now().After(deadline) {
			w.t.Errorf("the attack left something behind: %v, before it %v", now, w.before)
			break
		}
	}
	w.t.Logf("before %v, after %v; the healthy sender sent %d and waited for %v at most", w.before, now, w.sent.Load(), w.worst)
}

// stored is how many events the Broker has.
func (w *world) stored() int64 {
	w.t.Helper()
	for _, s := range w.Streams() {
		if s.Name == "hub" {
			return int64(s.Head)
		}
	}
	w.t.Fatal("the Broker is gone")
	return 0
}

// slowest is how long the healthy sender may wait for an answer on a machine
// that is busy with an attack and the attacker.
const slowest = 10 * time.Second

// vitals are what an attack may take for a while.
type vitals struct {
	goroutines, files int
	// heap is what is in use after a collection, heapPeak the most that the
	// heap has ever had, resident and residentPeak what the kernel says; bytes.
	heap, heapPeak, resident, residentPeak int
}

func (v vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d files, heap %d MiB (peak %d), resident %d MiB (peak %d)",
		v.goroutines, v.files, v.heap>>20, v.heapPeak>>20, v.resident>>20, v.residentPeak>>20)
}

// look collects garbage in the binary and looks at it.
func (w *world) look() vitals {
	w.t.Helper()
	var v vitals
	heap := w.profile("heap?debug=1&gc=1")
	v.heap, v.heapPeak = number(heap, "# HeapAlloc = "), number(heap, "# HeapSys = ")
	v.goroutines = number(w.profile("goroutine?debug=1"), "goroutine profile: total ")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.PID()))
	if err != nil {
		w.t.Fatal(err)
	}
	v.resident, v.residentPeak = number(string(status), "VmRSS:")<<10, number(string(status), "VmHWM:")<<10
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.PID()))
	if err != nil {
		w.t.Fatal(err)
	}
	v.files = len(files)
	return v
}

func (w *world) profile(name string) string {
	w.t.Helper()
	r := harness.Do(w.t, http.MethodGet, w.Admin+"/debug/pprof/"+name, nil, nil)
	if r.Status != http.StatusOK {
		w.t.Fatalf("%s was answered %d: %s", name, r.Status, r.Body)
	}
	return r.Body
}

// number is what stands behind a label.
func number(text, label string) int {
	_, rest, _ := strings.Cut(text, label)
	rest = strings.TrimLeft(rest, " \t")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.Atoi(rest[:max(end, 0)])
	if err != nil {
		panic("BUG: there is no number behind " + label)
	}
	return n
}
