package kubesource

import (
	"log/slog"
	"time"

	"leat.dev/leat/pkg/routing"
)

const (
	// A problem is logged when it is that old: for a moment every new Trigger
	// has one, until its controller has resolved its subscriber.
	settled = 2 * time.Second
	// maxLines bounds the problems that are logged at once.
	maxLines = 50
)

// reporter logs tables and problems, each problem once.
type reporter struct {
	log *slog.Logger
	// since is when each problem of the last table was first seen.
	since map[routing.Problem]time.Time
	told  map[routing.Problem]bool
}

func newReporter(log *slog.Logger) *reporter {
	return &reporter{log: log, since: map[routing.Problem]time.Time{}, told: map[routing.Problem]bool{}}
}

// table tells of a table; of later ones only those who want details.
func (r *reporter) table(t *routing.Table, since time.Duration) {
	routes := 0
	for _, stream := range t.Streams {
		routes += len(stream.Routes)
	}
	args := []any{"generation", t.Generation, "streams", len(t.Streams), "routes", routes,
		"removed", len(t.Removed), "problems", len(t.Problems)}
	if t.Generation == 1 {
		r.log.Info("the objects of the cluster were read", append(args, "took", since.Round(time.Millisecond).String())...)
	} else {
		r.log.Debug("the objects of the cluster have changed", args...)
	}
}

// problems logs those that have settled, and returns a channel that tells when
// the next one will have, nil if there is none.
func (r *reporter) problems(now []routing.Problem, at time.Time) <-chan time.Time {
	since := make(map[routing.Problem]time.Time, len(now))
	told := make(map[routing.Problem]bool, len(r.told))
	lines, left := 0, 0
	var next time.Duration
	for _, p := range now {
		first, known := r.since[p]
		if !known {
			first = at
		}
		since[p] = first
		switch wait := first.Add(settled).Sub(at); {
		case r.told[p]:
			told[p] = true
		case wait > 0:
			if next == 0 || wait < next {
				next = wait
			}
		case lines < maxLines:
			r.log.Warn("an object has a problem", "problem", p.String())
			lines++
			told[p] = true
		default:
			left++
			told[p] = true
		}
	}
	if left > 0 {
		r.log.Warn("more objects have problems; GET /v1/problems of the operator API shows them", "more", left)
	}
	r.since, r.told = since, told
	if next == 0 {
		return nil
	}
	return time.After(next)
}
