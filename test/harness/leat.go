package harness

import (
	"testing"
)

// Leat is a broker of one test: its folders, and the process that runs on them
// now.
type Leat struct {
	*Process
	config  Config
	t       testing.TB
	changes int
}

// Start runs leat serve on fresh folders with these manifests. At the end of
// the test it is stopped, and must stop in order.
func Start(t testing.TB, manifests ...string) *Leat {
	t.Helper()
	return StartWith(t, nil, manifests...)
}

// StartWith is Start with arguments for the command line.
func StartWith(t testing.TB, args []string, manifests ...string) *Leat {
	t.Helper()
	return StartOn(t, t.TempDir(), args, manifests...)
}

// StartOn is StartWith on a data folder of the caller's.
func StartOn(t testing.TB, data string, args []string, manifests ...string) *Leat {
	t.Helper()
	l := &Leat{t: t, config: Config{Manifests: t.TempDir(), Data: data, Args: args}}
	l.Apply("manifests.yaml", manifests...)
	l.run()
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Errorf("at the end of the test: %v", err)
		}
		if t.Failed() {
			t.Logf("leat's log:\n%s", l.Log)
		}
	})
	return l
}

func (l *Leat) run() {
	l.t.Helper()
	p, err := Run(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Process = p
	// A successor is found where this one was.
	l.config.Listen = p.Listen
}

// Restart kills the process with SIGKILL and starts another one on the same
// folders and the same address for events.
func (l *Leat) Restart() {
	l.t.Helper()
	l.RestartWith(l.config.Args)
}

// RestartWith is Restart with other arguments for the command line.
func (l *Leat) RestartWith(args []string) {
	l.t.Helper()
	l.Kill()
	l.config.Args = args
	l.run()
}

// Kill ends the process with SIGKILL.
func (l *Leat) Kill() {
	l.t.Helper()
	if err := l.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
}

// Apply writes the manifests to one file of the folder. The caller waits until
// they have effect, with WaitRoute for example.
func (l *Leat) Apply(file string, manifests ...string) {
	l.t.Helper()
	if err := WriteManifest(l.config.Manifests, file, Documents(manifests...)); err != nil {
		l.t.Fatal(err)
	}
}

// BrokerURL is where a Broker of the namespace takes events.
func (l *Leat) BrokerURL(name string) string { return l.URL + "/" + Namespace + "/" + name }

// ChannelURL is where a channel of the namespace takes events.
func (l *Leat) ChannelURL(name string) string { return l.URL + "/channels/" + Namespace + "/" + name }
