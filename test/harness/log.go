package harness

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"sync"
)

// maxLogLine bounds a line; the program's are far shorter.
const maxLogLine = 1 << 20

// Log is what a process has written to its standard error, line by line.
type Log struct {
	mu    sync.Mutex
	lines []string
	// more is closed and replaced with every line.
	more  chan struct{}
	ended bool
}

// read keeps the lines of r until it ends.
func (l *Log) read(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLogLine)
	for scanner.Scan() {
		l.add(func() { l.lines = append(l.lines, scanner.Text()) })
	}
	l.add(func() { l.ended = true })
	_, _ = io.Copy(io.Discard, r) // a line that was too long must not block the process
}

func (l *Log) add(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.more)
	l.more = make(chan struct{})
}

// state returns the lines so far, a channel that is closed when there are more,
// and whether there will be none.
func (l *Log) state() ([]string, <-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[:len(l.lines):len(l.lines)], l.more, l.ended
}

// Lines returns the lines so far.
func (l *Log) Lines() []string {
	lines, _, _ := l.state()
	return lines
}

// String returns all lines so far.
func (l *Log) String() string { return strings.Join(l.Lines(), "\n") }

// Contains says whether a line so far contains all of the texts.
func (l *Log) Contains(texts ...string) bool {
	for _, line := range l.Lines() {
		if containsAll(line, texts) {
			return true
		}
	}
	return false
}

func containsAll(line string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(line, text) {
			return false
		}
	}
	return true
}

// serving is the line that says where the program listens.
type serving struct {
	Message string `json:"msg"`
	Listen  string `json:"listen"`
	Admin   string `json:"admin"`
}

// parseServing reads such a line.
func parseServing(line string) (serving, bool) {
	var s serving
	err := json.Unmarshal([]byte(line), &s)
	return s, err == nil && s.Message == "serving"
}
