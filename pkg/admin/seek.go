package admin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// maxSeekTo bounds what says where to; a time has at most 35 bytes.
const maxSeekTo = 64

func (a *api) seek(r *http.Request) (any, error) {
	name, s, err := a.look(r)
	if err != nil {
		return nil, err
	}
	route, err := findRoute(s.table, name, r.PathValue("route"))
	if err != nil {
		return nil, err
	}
	if _, served := s.states[routeKey{name, route.ID}]; !served {
		return nil, fail(http.StatusConflict, "the route is not served yet, so it has no place; GET of it says why")
	}
	stream, err := a.Engine.Stream(r.Context(), engine.StreamSpec{Name: name.String(), Retention: engine.KeepAsIs})
	if errors.Is(err, engine.ErrNoStream) {
		return nil, noStream(name)
	}
	if err != nil {
		return nil, err
	}
	to, err := seekTo(r.Context(), stream, r.URL.Query().Get("to"))
	if err != nil {
		return nil, err
	}
	return a.move(r.Context(), stream, route, to)
}

func (a *api) move(ctx context.Context, stream engine.Stream, route *routing.Route, to engine.Seq) (any, error) {
	got, err := a.Seek(ctx, route.Stream, route.ID, to)
	if err != nil {
		return nil, err
	}
	sought := Sought{Place: got.Place, Skipped: got.Skipped, Again: got.Again}
	if records, err := stream.Read(ctx, got.Place, 1); err == nil && len(records) > 0 && records[0].Seq == got.Place {
		sought.PlaceTime = instant(records[0].Time)
	}
	return sought, nil
}

// seekTo reads where to move a route.
func seekTo(ctx context.Context, s engine.Stream, text string) (engine.Seq, error) {
	switch {
	case text == "earliest":
		return 0, nil
	case text == "latest":
		return math.MaxUint64, nil
	case text == "" || len(text) > maxSeekTo:
		return 0, badSeek("where to move the route is not said")
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return engine.SeqAt(ctx, s, at)
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, badSeek(strconv.Quote(text) + " is no place")
	}
	state, err := s.State(ctx)
	if err != nil {
		return 0, err
	}
	switch seq := engine.Seq(n); {
	case seq > state.Head+1:
		return 0, fail(http.StatusConflict, fmt.Sprintf("there is no event %d yet, the newest is %d; latest is behind it", seq, state.Head))
	case seq < state.First && state.First > state.Head:
		return 0, fail(http.StatusConflict, fmt.Sprintf("the event %d is not kept, and no other is; the next one will be %d", seq, state.First))
	case seq < state.First:
		return 0, fail(http.StatusConflict, fmt.Sprintf("the event %d is not kept, the oldest is %d; earliest begins with that", seq, state.First))
	default:
		return seq, nil
	}
}

func badSeek(what string) error {
	return fail(http.StatusBadRequest, what+"; ?to= must be earliest, latest, a seq, or a time such as 2026-05-01T12:00:00Z")
}
