package server

import (
	"context"
	"errors"
	"fmt"

	"leat.dev/leat/pkg/dispatch"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// leaving are the streams of which what is stored belongs to an object that is
// gone or going (docs/adr/0008), with the UIDs of those objects: nothing may be
// done with it but to delete it.
func (p *plane) leaving(t *routing.Table) map[routing.StreamName]string {
	leaving := map[routing.StreamName]string{}
	for name, uid := range t.Removed {
		if t.Complete && t.Streams[name] == nil && p.mayBelong(name, uid) {
			leaving[name] = uid
		}
	}
	for name, s := range t.Streams {
		if s.UID != "" && !p.mayBelong(name, s.UID) {
			leaving[name] = p.owners[name]
		}
	}
	return leaving
}

// mayBelong is false if what is stored of a stream is known to belong to an
// object with another UID.
func (p *plane) mayBelong(name routing.StreamName, uid string) bool {
	owner := p.owners[name]
	return owner == "" || owner == uid
}

// remove deletes what is stored of the leaving streams that are in use by
// nobody any more, and takes these out of the set. What is left of it waits for
// deliveries under way. The gate must not know the streams, nor the dispatcher
// pump them. It may be repeated after a crash.
func (p *plane) remove(ctx context.Context, leaving map[routing.StreamName]string) error {
	free := map[routing.StreamName]string{}
	for name, uid := range leaving {
		if p.dispatcher.Release(name) {
			free[name] = uid
		}
	}
	stored, err := p.stored(ctx, free)
	if err != nil {
		return err
	}
	var errs []error
	for name, uid := range free {
		if err := p.removeData(ctx, name, uid, stored[name]); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(leaving, name)
		delete(p.owners, name)
	}
	return errors.Join(errs...)
}

// stored lists the engine's streams that belong to these of ours: the stream
// itself and the dead letters of its routes, also of those that are gone.
func (p *plane) stored(ctx context.Context, of map[routing.StreamName]string) (map[routing.StreamName][]string, error) {
	if len(of) == 0 {
		return nil, nil
	}
	all, err := p.engine.Streams(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what is stored: %w", err)
	}
	stored := map[routing.StreamName][]string{}
	for _, text := range all {
		name, _, ok := dispatch.ParseDeadLetterStream(text)
		if !ok {
			name, ok = routing.ParseStreamName(text)
		}
		if _, asked := of[name]; ok && asked {
			stored[name] = append(stored[name], text)
		}
	}
	return stored, nil
}

// removeData deletes the engine's streams that belong to one of ours; itself
// comes last, so that what is left after a crash is found by its name.
func (p *plane) removeData(ctx context.Context, name routing.StreamName, uid string, stored []string) error {
	if len(stored) == 0 {
		return nil
	}
	var events, deadLetters uint64
	for _, text := range stored {
		n := p.count(ctx, text)
		if text == name.String() {
			events = n
			continue
		}
		deadLetters += n
		if err := p.engine.Remove(ctx, text); err != nil {
			return fmt.Errorf("delete the dead letters %s: %w", text, err)
		}
	}
	if err := p.engine.Remove(ctx, name.String()); err != nil {
		return fmt.Errorf("delete the stream %s: %w", name, err)
	}
	p.Logger.Info("what was stored of a deleted object is deleted",
		"stream", name.String(), "uid", uid, "events", events, "deadLetters", deadLetters)
	return nil
}

// count is how many records a stream has; it is for the log alone.
func (p *plane) count(ctx context.Context, stream string) uint64 {
	s, err := p.engine.Stream(ctx, engine.StreamSpec{Name: stream, Retention: engine.KeepAsIs})
	if err != nil {
		return 0
	}
	state, err := s.State(ctx)
	if err != nil {
		return 0
	}
	return uint64(state.Head + 1 - state.First)
}
