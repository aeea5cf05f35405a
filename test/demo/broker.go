package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// broker is leat serve on one data folder, over several lives.
type broker struct {
	bin, dir  string
	url, addr string
	admin     string
	cmd       *exec.Cmd
	log       *os.File
}

// start begins a life and waits until it is ready. Every life has the same
// address, as a broker behind a service has.
func (b *broker) start(ctx context.Context) (err error) {
	if b.addr == "" {
		if b.addr, err = freeAddress(); err != nil {
			return err
		}
		if b.admin, err = freeAddress(); err != nil {
			return err
		}
		b.url = "http://" + b.addr
	}
	if b.log, err = os.OpenFile(filepath.Join(b.dir, "leat.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	b.cmd = exec.Command(b.bin, "serve", "--manifests", filepath.Join(b.dir, "manifests"),
		"--data", filepath.Join(b.dir, "data"), "--listen", b.addr, "--admin", b.admin)
	b.cmd.Stderr = b.log
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w (make build makes it)", b.bin, err)
	}
	for {
		res, err := http.Get("http://" + b.admin + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("leat was not ready in time:\n%s", b.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *broker) pid() int { return b.cmd.Process.Pid }

// kill ends the life as a power cut to the process would.
func (b *broker) kill() {
	if b.cmd.ProcessState != nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	_ = b.log.Close()
}

// stop ends the life in order.
func (b *broker) stop(ctx context.Context) error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- b.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("leat did not stop in order: %w\n%s", err, b.tail())
		}
		return b.log.Close()
	case <-ctx.Done():
		_ = b.cmd.Process.Kill()
		return fmt.Errorf("leat did not stop in time: %w", <-ended)
	}
}

// tail is the end of the log of all lives.
func (b *broker) tail() string {
	text, err := os.ReadFile(filepath.Join(b.dir, "leat.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

var portOf = regexp.MustCompile(`(metadata: \{name: )([a-z-]+)(\}\nspec: .*port: )(\d+)`)

// copyManifests copies the examples, with the ports of the Services replaced by
// those that the demo's subscribers listen on.
func copyManifests(from, to string, ports map[string]int) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no manifests in %s; run the demo from the repository's root", from)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		text = portOf.ReplaceAllFunc(text, func(m []byte) []byte {
			part := portOf.FindSubmatch(m)
			if port, ok := ports[string(part[2])]; ok {
				part[4] = fmt.Append(nil, port)
			}
			return bytes.Join(part[1:], nil)
		})
		if err := os.WriteFile(filepath.Join(to, filepath.Base(f)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
