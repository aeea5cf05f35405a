package admin

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// A Broker that disappeared from the manifests keeps its events, is shown, and
// goes only when an operator says so.
func TestStreamThatIsGone(t *testing.T) {
	w := newWorld(t)
	old := routing.StreamName{Kind: routing.Broker, Namespace: "ns", Name: "old"}
	s, err := w.engine.Stream(t.Context(), engine.StreamSpec{Name: old.String(), Retention: engine.KeepForever})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Append(t.Context(), engine.Payload{Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	w.bury(broker, routeID, "dead letters are no stream that is gone")

	if found := w.goneStreams(); len(found) != 1 || found[0].Name != "old" || found[0].Records != 3 {
		t.Fatalf("gone streams: %+v, want ns/old with 3 records", found)
	}
	for ref, status := range map[StreamRef]int{
		{"broker", "ns", "default"}: http.StatusConflict,   // it is served
		{"broker", "ns", "never"}:   http.StatusNotFound,   // it never was
		{"", "ns", "old"}:           http.StatusBadRequest, // which kind?
	} {
		var refused *Error
		if _, err := w.client.RemoveStream(t.Context(), ref); !errors.As(err, &refused) || refused.Status != status {
			t.Errorf("remove %+v: %v, want status %d", ref, err, status)
		}
	}
	removed, err := w.client.RemoveStream(t.Context(), StreamRef{"broker", "ns", "old"})
	if err != nil || removed.Records != 3 {
		t.Fatalf("removed %+v, %v; want 3 records", removed, err)
	}
	if found := w.goneStreams(); len(found) != 0 {
		t.Errorf("after the removal there are still %+v", found)
	}
}

// A stream is open for a moment before its table is in force. Who looks at it
// then must not change what is kept of it.
func TestLookingAtAStreamChangesNothing(t *testing.T) {
	w := newWorld(t)
	s, err := w.engine.Stream(t.Context(), engine.StreamSpec{Name: "broker/ns/coming"})
	if err != nil {
		t.Fatal(err)
	}
	if found := w.goneStreams(); len(found) != 1 {
		t.Fatalf("gone streams: %+v, want the one that no table has", found)
	}
	if _, err := s.Append(t.Context(), engine.Payload{Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := s.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if state.First == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a record that nobody waits for is kept: %+v", state)
		}
	}
}

func (w *world) goneStreams() (found []Stream) {
	w.t.Helper()
	streams, err := w.client.Streams(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range streams {
		if s.Gone {
			found = append(found, s)
		}
	}
	return found
}

func (w *world) removeStream(ctx context.Context, name routing.StreamName) error {
	return w.engine.Remove(ctx, name.String())
}
