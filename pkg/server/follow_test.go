package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// ailing is an engine that fails for a while with some streams.
type ailing struct {
	engine.Engine
	mu   sync.Mutex
	ill  map[string]int // how many more calls fail, by name
	when []time.Time    // of the calls that were about an ill stream
}

var errAiling = errors.New("the disk does not answer")

func (a *ailing) try(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.ill[name]; !known {
		return nil
	}
	a.when = append(a.when, time.Now())
	if a.ill[name]--; a.ill[name] >= 0 {
		return errAiling
	}
	return nil
}

func (a *ailing) Stream(ctx context.Context, spec engine.StreamSpec) (engine.Stream, error) {
	if spec.Retention != engine.KeepAsIs {
		if err := a.try(spec.Name); err != nil {
			return nil, err
		}
	}
	return a.Engine.Stream(ctx, spec)
}

func (a *ailing) Remove(ctx context.Context, name string) error {
	if err := a.try(name); err != nil {
		return err
	}
	return a.Engine.Remove(ctx, name)
}

// following is a plane without listeners that follows the tables of a test.
func following(t *testing.T, ill map[string]int) (*plane, *ailing) {
	t.Helper()
	p, err := newPlane(Options{
		Version: "test", Logger: slog.New(slog.DiscardHandler), Data: t.TempDir(), Status: "-",
		MaxEventBytes: 1 << 20, DeliveryTimeout: time.Minute, Fatal: func(msg string) { panic(msg) },
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &ailing{Engine: p.engine, ill: ill}
	p.engine = a
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.follow(ctx) })
	t.Cleanup(func() {
		end()
		running.Wait()
		if err := errors.Join(p.dispatcher.Close(context.Background()), p.engine.Close(), p.metrics.Close()); err != nil {
			t.Error(err)
		}
		p.client.Close()
	})
	return p, a
}

// pauses are the times between the tries with an ill stream.
func (a *ailing) pauses() (pauses []time.Duration) {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range len(a.when) - 1 {
		pauses = append(pauses, a.when[i+1].Sub(a.when[i]).Round(time.Second))
	}
	return pauses
}

var (
	ill  = routing.StreamName{Kind: routing.Broker, Namespace: "a", Name: "ill"}
	well = routing.StreamName{Kind: routing.Broker, Namespace: "a", Name: "well"}
)

// both is a table with both streams.
func both() *routing.Table {
	return &routing.Table{Complete: true, Streams: map[routing.StreamName]*routing.Stream{
		ill: {Name: ill, UID: "i"}, well: {Name: well, UID: "w"},
	}}
}

func (p *plane) takes(name routing.StreamName) bool {
	s, ok := p.gate.Lookup(name)
	return ok && s != engine.Stream(unopened{})
}

// A stream that cannot be opened is tried again without a new table, ever less
// often, and does not hold up the others.
func TestFailedStreamIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a := following(t, map[string]int{ill.String(): 7})
		p.publish(both())
		<-p.loaded
		if !p.takes(well) || p.takes(ill) {
			t.Error("the well stream takes no events, or the ill one does")
		}
		time.Sleep(90 * time.Second)
		if synctest.Wait(); p.takes(ill) {
			t.Error("the ill stream takes events")
		}
		time.Sleep(time.Hour)
		const s = time.Second
		if got, want := a.pauses(), []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}; !slices.Equal(got, want) {
			t.Errorf("the pauses are %v, want %v", got, want)
		}
		if !p.takes(ill) {
			t.Error("the stream that is well again takes no events")
		}
		// The next trouble begins with the shortest pause.
		a.mu.Lock()
		a.ill[ill.String()], a.when = 1, nil
		a.mu.Unlock()
		p.publish(both())
		time.Sleep(time.Minute)
		if got := a.pauses(); !slices.Equal(got, []time.Duration{s}) {
			t.Errorf("the pauses are %v, want one of a second", got)
		}
		if !p.takes(ill) {
			t.Error("a stream that was open takes no more events because it could not be opened again")
		}
	})
}

// So is a removal that fails, and nothing is called removed meanwhile.
func TestFailedRemovalIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a := following(t, map[string]int{})
		p.publish(both())
		<-p.loaded
		synctest.Wait()
		a.mu.Lock()
		a.ill[ill.String()] = 2
		a.mu.Unlock()
		table := both()
		delete(table.Streams, ill)
		table.Removed = map[routing.StreamName]string{ill: "i"}
		removed := func() bool {
			synctest.Wait()
			p.applying.Lock()
			defer p.applying.Unlock()
			told, err := p.removed(t.Context(), table)
			if err != nil {
				t.Fatal(err)
			}
			return told[ill.String()] == "i"
		}
		p.publish(table)
		time.Sleep(2 * time.Second)
		if removed() || p.takes(ill) {
			t.Error("what is stored is called removed, or takes events")
		}
		time.Sleep(time.Hour)
		if got := a.pauses(); !slices.Equal(got, []time.Duration{time.Second, 2 * time.Second}) {
			t.Errorf("the pauses are %v", got)
		}
		if !removed() || !p.takes(well) {
			t.Error("it is not removed, or another one takes no events")
		}
	})
}

// The newest table counts; those before it may be skipped.
func TestNewestTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := following(t, nil)
		for range 10 {
			p.publish(both())
		}
		newest := both()
		delete(newest.Streams, well)
		p.publish(newest)
		synctest.Wait()
		if p.table.Load() != newest || p.takes(well) || !p.takes(ill) {
			t.Error("the newest table is not served")
		}
	})
}
