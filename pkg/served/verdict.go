package served

import "leat.dev/leat/pkg/routing"

// What a Pending verdict is about.
const (
	noStream     = "The data plane does not take events for it yet."
	otherStream  = "The data plane still serves an earlier object of this name."
	noRoute      = "The data plane does not deliver to it yet."
	earlierRoute = "The data plane still delivers the way it was before the last change."
)

// stream finds the stream of an object, or says why there is none.
func (w *Watcher) stream(name routing.StreamName, uid string) (Stream, Verdict) {
	v := w.view.Load()
	if v == nil {
		return Stream{}, Verdict{State: Unknown}
	}
	if v.away != "" {
		return Stream{}, Verdict{State: Away, Reason: v.away}
	}
	s, ok := v.snapshot.Streams[name.String()]
	switch {
	case !ok:
		return Stream{}, Verdict{State: Pending, Reason: noStream}
	case s.UID != uid:
		return Stream{}, Verdict{State: Pending, Reason: otherStream}
	}
	return s, Verdict{State: Serving}
}

// Stream implements Asker.
func (w *Watcher) Stream(name routing.StreamName, uid string) Verdict {
	_, v := w.stream(name, uid)
	return v
}

// Route implements Asker.
func (w *Watcher) Route(streamUID string, r *routing.Route) Verdict {
	s, v := w.stream(r.Stream, streamUID)
	if v.State != Serving {
		return v
	}
	served, ok := s.Routes[r.ID]
	switch {
	case !ok:
		return Verdict{State: Pending, Reason: noRoute}
	case served.Fingerprint != r.Fingerprint():
		return Verdict{State: Pending, Reason: earlierRoute}
	case served.Problem != "":
		return Verdict{State: Failed, Reason: served.Problem}
	}
	return v
}

// Removed implements Asker. What is removed stays so, and is also known of a
// data plane that is away.
func (w *Watcher) Removed(name routing.StreamName, uid string) bool {
	v := w.view.Load()
	if v == nil || v.snapshot == nil {
		return false
	}
	removed, ok := v.snapshot.Removed[name.String()]
	return ok && removed == uid
}

// difference is what differs between two snapshots of one instance. Names that
// are none are left out: nobody asks about them.
func difference(old, now *Snapshot) Change {
	var c Change
	for _, text := range differing(old.Streams, now.Streams, Stream.equal) {
		name, ok := routing.ParseStreamName(text)
		if !ok {
			continue
		}
		before, hadIt := old.Streams[text]
		after, hasIt := now.Streams[text]
		if hadIt != hasIt || before.UID != after.UID {
			c.Streams = append(c.Streams, name)
		}
		same := func(a, b Route) bool { return a == b && before.UID == after.UID }
		for _, id := range differing(before.Routes, after.Routes, same) {
			c.Routes = append(c.Routes, RouteRef{name, id})
		}
	}
	for _, text := range differing(old.Removed, now.Removed, func(a, b string) bool { return a == b }) {
		if name, ok := routing.ParseStreamName(text); ok {
			c.Removed = append(c.Removed, name)
		}
	}
	return c
}

// differing are the keys whose values differ, or which one of both has alone.
func differing[V any](old, now map[string]V, equal func(a, b V) bool) []string {
	var keys []string
	for k, v := range now {
		if before, ok := old[k]; !ok || !equal(before, v) {
			keys = append(keys, k)
		}
	}
	for k := range old {
		if _, ok := now[k]; !ok {
			keys = append(keys, k)
		}
	}
	return keys
}
