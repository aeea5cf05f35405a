// Package filesource is a routing.Source that reads Knative manifests from a
// folder and follows their changes.
//
// A manifest is a file *.yaml or *.yml in the folder or in a folder in it, with
// any number of documents: Brokers, Triggers, Channels, Subscriptions,
// LeatChannels, and Services of type ExternalName, to which references can
// point. What a cluster's controllers would resolve is resolved here, then
// routing/build makes the table, as it does for a cluster.
//
// A mistake is a Problem of the table and touches nothing else. A file that
// does not parse and an object that is not valid keep the version that was good
// before, and the table is not Complete.
package filesource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"knative.dev/pkg/apis"

	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/routing/build"
)

// DefaultBaseURL is where a data plane on this machine is reached.
const DefaultBaseURL = "http://127.0.0.1:8080"

// How long a Source waits, and for what.
const (
	// After a change, until nothing more has changed: an editor needs several
	// steps to write a file, a copy needs many.
	defaultQuiet = 100 * time.Millisecond
	// At most so long after the first change, if changes do not end.
	defaultMaxQuiet = 500 * time.Millisecond
	// Between two looks without any change that was notified: folders of a
	// network, and links to files elsewhere, notify of none.
	defaultPoll = 2 * time.Second
	// Without any change, until what has gone is really gone. A copy of a
	// folder that is still under way looks like one with files removed.
	defaultSettle = time.Second
)

// Options of New.
type Options struct {
	// Dir is the folder with the manifests. It must exist when Run begins.
	Dir string
	// BaseURL is where the data plane that the manifests are for is reached:
	// http or https, host and port. References to Brokers and channels of the
	// manifests lead there. DefaultBaseURL if empty.
	BaseURL string
	// ClusterDomain ends the host names of channels, cluster.local if empty.
	ClusterDomain string
	// Log tells of new tables and their problems. Nil is silent.
	Log *slog.Logger
}

// Source follows the manifests of a folder.
type Source struct {
	dir     string
	base    *apis.URL
	options build.Options
	log     *slog.Logger

	quiet, maxQuiet, poll, settle time.Duration
}

var _ routing.Source = (*Source)(nil)

// New returns a Source. The error tells of a BaseURL that is none.
func New(o Options) (*Source, error) {
	if o.BaseURL == "" {
		o.BaseURL = DefaultBaseURL
	}
	base, err := apis.ParseURL(o.BaseURL)
	if err == nil && ((base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || (base.Path != "" && base.Path != "/")) {
		err = errors.New("it must be like " + DefaultBaseURL)
	}
	if err != nil {
		return nil, fmt.Errorf("base URL %q: %w", o.BaseURL, err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{
		dir: o.Dir, base: base, log: o.Log,
		options: build.Options{ClusterDomain: o.ClusterDomain, Addresses: build.Addresses(o.BaseURL)},
		quiet:   defaultQuiet, maxQuiet: defaultMaxQuiet, poll: defaultPoll, settle: defaultSettle,
	}, nil
}

// Run publishes a table at once and then whenever it differs from the last one.
// It returns an error if the folder does not exist; a folder that disappears
// later is a Problem, and what was read from it stays in use.
//
// The first table is not Complete. One with the same streams and routes
// follows, which is, when nothing has changed for a second and all could be
// read; the same goes for tables from which a stream or route is gone. A table
// without any stream is never Complete: a folder that is not mounted looks like
// that.
func (s *Source) Run(ctx context.Context, publish func(*routing.Table)) error {
	if info, err := os.Stat(s.dir); err != nil {
		return fmt.Errorf("the folder of manifests %s: %w: create it or name another one", s.dir, cause(err))
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no folder: name the folder that the manifests are in", s.dir)
	}
	w := newWatcher(s.log)
	defer w.close()
	t := tables{source: s, memory: newMemory()}
	for {
		// Watched first: a change while they are read is notified.
		w.watch(folders(s.dir))
		table, again := t.next(look(s.dir), time.Now())
		if table != nil {
			s.tell(table, t.told)
			t.told = table.Problems
			publish(table)
		}
		if !s.wait(ctx, w, again) {
			return nil
		}
	}
}

// wait returns true when the folder may have changed and is quiet again or when
// again has passed (if it is not zero), and false when ctx ends.
func (s *Source) wait(ctx context.Context, w *watcher, again time.Duration) bool {
	pause := s.poll
	if again > 0 {
		pause = min(pause, again)
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	case <-w.changes():
	}
	longest := time.After(s.maxQuiet)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(s.quiet):
			return true
		case <-longest:
			return true
		case <-w.changes():
		}
	}
}

// tell logs a table, and those of its problems that are new.
func (s *Source) tell(t *routing.Table, told []routing.Problem) {
	routes := 0
	for _, stream := range t.Streams {
		routes += len(stream.Routes)
	}
	s.log.Info("the manifests were read", "folder", s.dir, "generation", t.Generation,
		"streams", len(t.Streams), "routes", routes, "problems", len(t.Problems), "complete", t.Complete)
	known := make(map[routing.Problem]bool, len(told))
	for _, p := range told {
		known[p] = true
	}
	for _, p := range t.Problems {
		if !known[p] {
			s.log.Warn("a manifest has a problem", "problem", p.String())
		}
	}
}
