package admin

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// Bounds of a page of dead letters.
const (
	defaultLimit = 50
	maxLimit     = 500
	// readBatch bounds how many records are in memory at once, and pageBytes
	// how many bytes are read for one page.
	readBatch = 8
	pageBytes = 16 << 20
)

// letters opens the dead letters that a request is about. A route that is gone
// is found by its ID. The Stream is nil if there are none.
func (a *api) letters(r *http.Request) (routing.StreamName, string, engine.Stream, error) {
	stream, err := a.find(r)
	if err != nil {
		return stream, "", nil, err
	}
	stored, err := a.Engine.Streams(r.Context())
	if err != nil {
		return stream, "", nil, err
	}
	id := r.PathValue("route")
	route, missing := findRoute(a.table(), stream, id)
	if missing == nil {
		id = route.ID
	}
	name := a.DeadLetterStream(stream, id)
	if _, ok := slices.BinarySearch(stored, name); !ok {
		return stream, id, nil, missing
	}
	s, err := a.Engine.Stream(r.Context(), engine.StreamSpec{Name: name, Retention: engine.KeepAsIs})
	if errors.Is(err, engine.ErrNoStream) { // removed a moment ago
		return stream, id, nil, missing
	}
	return stream, id, s, err
}

func (a *api) deadLetters(r *http.Request) (any, error) {
	from, err := number(r, "from", 0)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", defaultLimit)
	if err != nil {
		return nil, err
	}
	_, _, s, err := a.letters(r)
	page := DeadLetterPage{DeadLetters: []DeadLetter{}}
	if err != nil || s == nil {
		return page, err
	}
	state, err := s.State(r.Context())
	if err != nil {
		return nil, err
	}
	page.Count, page.First, page.Head = records(state), state.First, state.Head
	err = page.read(r, s, engine.Seq(from), int(min(max(limit, 1), maxLimit)))
	return page, err
}

// read fills the page with up to limit dead letters.
func (p *DeadLetterPage) read(r *http.Request, s engine.Stream, from engine.Seq, limit int) error {
	from = max(from, p.First)
	data := r.URL.Query().Get("data") == "true"
	bytes := 0
	for from <= p.Head && len(p.DeadLetters) < limit && bytes < pageBytes {
		got, err := s.Read(r.Context(), from, min(readBatch, limit-len(p.DeadLetters)))
		if err != nil {
			return err
		}
		if len(got) == 0 {
			return nil
		}
		for _, record := range got {
			p.DeadLetters = append(p.DeadLetters, showLetter(record, data))
			bytes += len(record.Data)
			from = record.Seq + 1
		}
	}
	if from <= p.Head {
		p.Next = from
	}
	return nil
}

func showLetter(record engine.Record, data bool) DeadLetter {
	v := DeadLetter{Seq: record.Seq, Time: record.Time.UTC()}
	e, err := cloudevent.Decode(record.Data)
	if err != nil {
		v.Problem = err.Error()
		return v
	}
	v.ID, v.Source, v.Type = e.ID(), e.Source(), e.Type()
	v.ErrorDest, _ = e.Get("knativeerrordest")
	v.ErrorCode, _ = e.Get("knativeerrorcode")
	v.ErrorData, _ = e.Get("knativeerrordata")
	if data {
		v.Event = e.AppendJSON(nil)
	}
	return v
}

func (a *api) drop(r *http.Request) (any, error) {
	to, err := number(r, "to", 0)
	if err != nil {
		return nil, err
	}
	if to == 0 {
		return nil, fail(http.StatusBadRequest, "say up to which seq dead letters are to be dropped, with ?to=SEQ; GET of the same path shows them")
	}
	_, _, s, err := a.letters(r)
	if err != nil || s == nil {
		return Dropped{}, err
	}
	state, err := s.State(r.Context())
	if err != nil {
		return nil, err
	}
	end := min(engine.Seq(to), state.Head) + 1
	if end <= state.First {
		return Dropped{}, nil
	}
	return Dropped{uint64(end - state.First)}, s.TrimTo(r.Context(), end)
}

func (a *api) redrive(r *http.Request) (any, error) {
	to, err := number(r, "to", 0)
	if err != nil {
		return nil, err
	}
	stream, err := a.find(r)
	if err != nil {
		return nil, err
	}
	route, err := findRoute(a.table(), stream, r.PathValue("route"))
	if err != nil {
		return nil, err
	}
	done, err := a.Redrive(r.Context(), stream, route.ID, engine.Seq(to))
	if err != nil {
		return nil, fail(http.StatusServiceUnavailable, "the re-drive ended early, after "+
			strconv.Itoa(done.Delivered)+" delivered and "+strconv.Itoa(done.Failed)+" failed; what is left is kept: "+err.Error())
	}
	return done, nil
}

// stores lists every store of dead letters that is not empty.
func (a *api) stores(r *http.Request) (any, error) {
	stored, err := a.Engine.Streams(r.Context())
	if err != nil {
		return nil, err
	}
	table := a.table()
	list := []DeadLetterStore{}
	for _, name := range stored {
		stream, route, ok := a.ParseDeadLetterStream(name)
		if !ok {
			continue
		}
		s, err := a.Engine.Stream(r.Context(), engine.StreamSpec{Name: name, Retention: engine.KeepAsIs})
		if errors.Is(err, engine.ErrNoStream) {
			continue
		}
		if err != nil {
			return nil, err
		}
		state, err := s.State(r.Context())
		if errors.Is(err, engine.ErrClosed) || err == nil && records(state) == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := findRoute(table, stream, route)
		list = append(list, DeadLetterStore{
			Kind: string(stream.Kind), Namespace: stream.Namespace, Name: stream.Name, Route: route,
			Count: records(state), Oldest: instant(state.Oldest), Gone: err != nil || found.ID != route,
		})
	}
	return list, nil
}

// number reads a query parameter that counts something.
func number(r *http.Request, name string, otherwise uint64) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fail(http.StatusBadRequest, name+" must be a number from 0 on, but is "+strconv.Quote(text))
	}
	return n, nil
}
