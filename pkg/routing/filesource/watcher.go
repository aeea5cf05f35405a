package filesource

import (
	"errors"
	"io/fs"
	"log/slog"

	"github.com/fsnotify/fsnotify"
)

// watcher tells that something in the folders has changed, not what. Where the
// system cannot notify, it never tells anything, and the poll has to do.
type watcher struct {
	notify *fsnotify.Watcher // nil if the system has no watcher left
	signal chan struct{}
	done   chan struct{}
	log    *slog.Logger
	// failed are folders that cannot be watched, which is told once.
	failed map[string]bool
}

func newWatcher(log *slog.Logger) *watcher {
	w := &watcher{signal: make(chan struct{}, 1), done: make(chan struct{}), log: log, failed: make(map[string]bool)}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("the system cannot tell of changes of the manifests: they are looked for every few seconds", "error", err)
		close(w.done)
		return w
	}
	w.notify = notify
	go w.run()
	return w
}

func (w *watcher) run() {
	defer close(w.done)
	for {
		select {
		case _, ok := <-w.notify.Events:
			if !ok {
				return
			}
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			// What was lost is found by looking again.
			w.log.Warn("changes of the manifests were not notified", "error", err)
		}
		select {
		case w.signal <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) changes() <-chan struct{} { return w.signal }

// watch begins to watch folders that are not watched yet, also those that were
// replaced under their path.
func (w *watcher) watch(folders []string) {
	if w.notify == nil {
		return
	}
	for _, folder := range folders {
		err := w.notify.Add(folder)
		if err != nil && !w.failed[folder] && !errors.Is(err, fs.ErrNotExist) {
			w.log.Warn("changes of a folder of manifests are not notified: it is looked at every few seconds",
				"folder", folder, "error", err)
		}
		w.failed[folder] = err != nil
	}
}

// close ends the watching and returns when its goroutine has ended.
func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close() // nothing was written
	}
	<-w.done
}
