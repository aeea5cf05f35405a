package settings

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"leat.dev/leat/pkg/kube/mirror"
	"leat.dev/leat/pkg/routing"
)

// Options of NewWatcher. Client and Names are required.
type Options struct {
	// Client reads the ConfigMaps of the system's namespace.
	Client mirror.Client[*corev1.ConfigMapList]
	Names  Names
	// Log tells of bad values, and of settings that wait for a restart. Nil is
	// silent.
	Log *slog.Logger
}

// Watcher follows the ConfigMaps. It reads each of them by its name, so that it
// needs no permission to read others.
type Watcher struct {
	reader  *Reader
	log     *slog.Logger
	mirrors []*mirror.Mirror[*corev1.ConfigMap]
	dirty   chan struct{}
}

// NewWatcher returns a Watcher.
func NewWatcher(o Options) *Watcher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{reader: NewReader(o.Names), log: o.Log, dirty: make(chan struct{}, 1)}
	names := []string{o.Names.Leat, o.Names.Logging, o.Names.Observability, o.Names.Features}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		w.mirrors = append(w.mirrors, mirror.New(o.Client, mirror.Options[*corev1.ConfigMap]{
			Kind: "ConfigMap " + name, Selector: "metadata.name=" + name, Log: o.Log, Trim: trim,
			Changed: func(_, _ *corev1.ConfigMap) { w.touch() },
		}))
	}
	return w
}

func trim(c *corev1.ConfigMap) {
	c.ManagedFields, c.Annotations, c.Labels, c.BinaryData = nil, nil, nil, nil
	delete(c.Data, "_example")
}

func (w *Watcher) touch() {
	select {
	case w.dirty <- struct{}{}:
	default: // they will be read anyway
	}
}

// Run tells the settings once all ConfigMaps were looked for, and again whenever
// they or their problems have changed, until ctx ends. changed is called by one
// goroutine.
func (w *Watcher) Run(ctx context.Context, changed func(Settings, []routing.Problem)) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	for _, m := range w.mirrors {
		reading.Go(func() { m.Run(ctx) })
	}
	for _, m := range w.mirrors {
		select {
		case <-m.Loaded():
		case <-ctx.Done():
			return
		}
	}
	var t teller
	for {
		s, problems := w.reader.Read(w.data())
		if t.tell(w, s, problems) {
			changed(s, problems)
		}
		select {
		case <-w.dirty:
		case <-ctx.Done():
			return
		}
	}
}

// data is what all ConfigMaps say now.
func (w *Watcher) data() map[string]map[string]string {
	data := map[string]map[string]string{}
	for _, m := range w.mirrors {
		for _, c := range m.List() {
			data[c.Name] = c.Data
		}
	}
	return data
}

// teller logs what is new.
type teller struct {
	// running are the first settings, with which the data plane was started,
	// and last the present ones.
	running, last *Settings
	problems      []routing.Problem
	pending       []Change
}

// tell reports whether anything is new.
func (t *teller) tell(w *Watcher, s Settings, problems []routing.Problem) bool {
	if t.last != nil && *t.last == s && slices.Equal(t.problems, problems) {
		return false
	}
	for _, p := range problems {
		if !slices.Contains(t.problems, p) {
			w.log.Error("a setting is not allowed", "configmap", p.File, "key", p.Object, "problem", p.Reason)
		}
	}
	if t.running == nil {
		t.running = &s
	}
	pending := w.reader.Pending(*t.running, s)
	for _, c := range pending {
		if !slices.Contains(t.pending, c) {
			w.log.Warn("a setting was changed; it takes effect when the dispatcher restarts",
				"configmap", c.ConfigMap, "key", c.Key, "running", c.Running, "wanted", c.Wanted)
		}
	}
	t.last, t.problems, t.pending = &s, problems, pending
	return true
}
