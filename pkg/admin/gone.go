package admin

import (
	"context"
	"errors"
	"net/http"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// gone lists the streams that are stored and not in the table: a Broker or
// channel that disappeared from the manifests keeps its events.
func (a *api) gone(ctx context.Context, s *snapshot) ([]Stream, error) {
	var list []Stream
	for _, text := range s.stored {
		name, ok := routing.ParseStreamName(text)
		if !ok || s.table.Streams[name] != nil {
			continue
		}
		state, err := a.streamState(ctx, text)
		if errors.Is(err, engine.ErrNoStream) || errors.Is(err, engine.ErrClosed) {
			continue // removed a moment ago
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Stream{
			Kind: string(name.Kind), Namespace: name.Namespace, Name: name.Name, Gone: true,
			First: state.First, Head: state.Head, Records: records(state), Oldest: instant(state.Oldest),
		})
	}
	return list, nil
}

// removeStream deletes a stream that is gone, for good.
func (a *api) removeStream(r *http.Request) (any, error) {
	if r.URL.Query().Get("kind") == "" {
		return nil, fail(http.StatusBadRequest, "say which with ?kind=broker or ?kind=channel")
	}
	name, s, err := a.look(r)
	if err != nil {
		return nil, err
	}
	gone, err := a.gone(r.Context(), s)
	if err != nil {
		return nil, err
	}
	for _, stream := range gone {
		if (routing.StreamName{Kind: routing.Kind(stream.Kind), Namespace: stream.Namespace, Name: stream.Name}) == name {
			return Removed{stream.Records}, a.RemoveStream(r.Context(), name)
		}
	}
	if s.table.Streams[name] != nil {
		return nil, fail(http.StatusConflict, "it is served; remove it from the manifests first")
	}
	return nil, noStream(name)
}
