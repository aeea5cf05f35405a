package mirror

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// tellAgain is how often the log says that requests still fail.
	tellAgain = time.Minute
	// tellAfter is for how long requests must have failed to be a problem, and
	// not an API server that restarts.
	tellAfter = 5 * time.Second
)

// health is whether one kind can be read.
type health struct {
	kind string
	log  *slog.Logger
	// tell is told of a problem, and with none when it is over.
	tell func(problem string)

	mu sync.Mutex
	// since is when requests began to fail, zero if they do not.
	since, logged time.Time
	told          bool
}

func (h *health) failed(err error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = now
	}
	if h.logged.IsZero() || now.Sub(h.logged) >= tellAgain {
		h.logged = now
		h.log.Warn("the API server cannot be read; what is served stays as it is", "kind", h.kind,
			"failing", now.Sub(h.since).Round(time.Second).String(), "error", err, "hint", hint(err))
	}
	if !h.told && now.Sub(h.since) >= tellAfter {
		h.told = true
		h.tell(fmt.Sprintf("it cannot be read from the API server since %s, so changes are not followed: %v%s",
			h.since.UTC().Format(time.RFC3339), err, orNothing(hint(err))))
	}
}

func (h *health) succeeded(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		return
	}
	h.log.Info("the API server can be read again", "kind", h.kind, "after", now.Sub(h.since).Round(time.Millisecond).String())
	h.since, h.logged = time.Time{}, time.Time{}
	if h.told {
		h.told = false
		h.tell("")
	}
}

// hint is what to do about an error, empty if it will pass.
func hint(err error) string {
	switch {
	case apierrors.IsNotFound(err):
		return "install its CustomResourceDefinition"
	case apierrors.IsForbidden(err):
		return "give the ServiceAccount a role that may list and watch it"
	case apierrors.IsUnauthorized(err):
		return "check the token of the ServiceAccount or the kubeconfig"
	default:
		return ""
	}
}

func orNothing(hint string) string {
	if hint == "" {
		return ""
	}
	return "; " + hint
}
