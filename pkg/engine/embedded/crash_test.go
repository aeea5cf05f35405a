package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/test/seeds"
)

// history is what happened, in order.
type history struct {
	mu     sync.Mutex
	events []event
}

type event struct {
	// kind is opened, appended, settling and settled, retrying and retried,
	// released, or saved: a checkpoint that holds the events below seq. Those of
	// seeks are in crashseek_test.go, those of a stream that is removed again and
	// again in crashlives_test.go.
	kind     string
	consumer string
	seq      engine.Seq
	attempt  int
	typ      string
}

func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *history) upTo(n int) []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n < 0 {
		n = len(h.events)
	}
	return h.events[:n:n]
}

// crashSpecs are the consumers, all there before the first record.
var crashSpecs = []engine.ConsumerSpec{
	{Name: "all", MaxInFlight: 8},
	{Name: "ordered", MaxInFlight: 3, Ordered: true},
	{Name: "some", MaxInFlight: 5, Interest: engine.Interest{Types: []string{"a"}}},
}

// checkConsumers compares an engine that was opened after a crash with the
// history: before happened before the crash, asked includes what happened
// while it did.
func checkConsumers(e *Engine, before, asked []event) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	s, err := e.Stream(ctx, engine.StreamSpec{Name: "s"})
	if err != nil {
		return err
	}
	stored, err := s.Consumers(ctx)
	if err != nil {
		return err
	}
	var errs []error
	// Behind this one nothing comes any more, and every consumer wants it.
	last, err := s.Append(ctx, engine.Payload{Type: "a", Key: "last"})
	if err != nil {
		return err
	}
	for _, spec := range crashSpecs {
		if !slices.Contains(stored, spec.Name) {
			if slices.ContainsFunc(before, func(e event) bool { return e.kind == "opened" && e.consumer == spec.Name }) {
				errs = append(errs, fmt.Errorf("%s: LOST", spec.Name))
			}
			continue
		}
		if err := checkConsumer(ctx, s, spec, last, before, asked); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", spec.Name, err))
		}
	}
	return errors.Join(errs...)
}

func checkConsumer(ctx context.Context, s engine.Stream, spec engine.ConsumerSpec, last engine.Seq, before, asked []event) error {
	settled := map[engine.Seq]bool{}
	for _, e := range asked {
		settled[e.seq] = settled[e.seq] || e.kind == "settling" && e.consumer == spec.Name
	}
	// What the last checkpoint that was completed has saved.
	saved, attempts, checkpoint := map[engine.Seq]bool{}, map[engine.Seq]int{}, 0
	for _, e := range before {
		if e.kind == "saved" {
			checkpoint = int(e.seq)
		}
	}
	for _, e := range before[:checkpoint] {
		if e.consumer == spec.Name && e.kind == "settled" {
			saved[e.seq] = true
		}
		if e.consumer == spec.Name && e.kind == "retried" {
			attempts[e.seq] = e.attempt
		}
	}
	got, err := drain(ctx, s, spec, last)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range before {
		wanted := len(spec.Interest.Types) == 0 || slices.Contains(spec.Interest.Types, e.typ)
		if _, ok := got[e.seq]; e.kind == "appended" && wanted && !ok && !settled[e.seq] {
			errs = append(errs, fmt.Errorf("LOST: acknowledged seq %d does not come", e.seq))
		}
	}
	for seq, attempt := range got {
		if saved[seq] {
			errs = append(errs, fmt.Errorf("seq %d comes again, though a checkpoint had it settled", seq))
		}
		if attempt < attempts[seq] {
			errs = append(errs, fmt.Errorf("seq %d comes as attempt %d, a checkpoint had %d", seq, attempt, attempts[seq]))
		}
	}
	return errors.Join(errs...)
}

// drain takes all that a consumer has up to last, with the attempts.
func drain(ctx context.Context, s engine.Stream, spec engine.ConsumerSpec, last engine.Seq) (map[engine.Seq]int, error) {
	c, err := s.Consumer(ctx, spec)
	if err != nil {
		return nil, err
	}
	got := map[engine.Seq]int{}
	for {
		if _, seen := got[last]; seen {
			if st, err := c.State(ctx); err != nil || st.Lag == 0 {
				return got, errors.Join(err, c.Close())
			}
		}
		d, err := c.Next(ctx)
		if err != nil {
			return got, fmt.Errorf("after %d deliveries: %w", len(got), err)
		}
		if _, again := got[d.Seq]; again {
			return got, fmt.Errorf("seq %d is delivered twice", d.Seq)
		}
		got[d.Seq] = d.Attempt
		if err := c.Ack(ctx, d.Seq); err != nil {
			return got, err
		}
	}
}

// crasher opens what a power cut would leave, right before writes and syncs.
type crasher struct {
	disk  *vfs.MemFS
	h     history
	share float64

	mu     sync.Mutex
	rnd    *rand.Rand
	points int
	failed error
}

func (c *crasher) String() string { return "crasher" }

// MaybeError implements errorfs.Injector: it is called before each operation.
func (c *crasher) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData:
	default:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rnd.Float64() >= c.share || c.failed != nil {
		return nil
	}
	for _, unsynced := range []int{0, 1 + c.rnd.IntN(99)} {
		before := c.h.upTo(-1)
		image := c.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: c.rnd})
		untouched := image.CrashClone(vfs.CrashCloneCfg{})
		c.points++
		if err := crashed(image, before, c.h.upTo(-1)); err != nil {
			dir, keeping := keepImage(untouched)
			c.failed = errors.Join(fmt.Errorf("crash point %d before %v of %s, %d %% of what was not synced kept, image in %s: %w",
				c.points, op.Kind, op.Path, unsynced, dir, err), keeping)
			break
		}
	}
	return nil
}

func crashed(image *vfs.MemFS, before, asked []event) error {
	e, err := Open("data", Options{FS: image, CheckpointEvery: time.Hour})
	if err != nil {
		return fmt.Errorf("LOST: does not open: %w", err)
	}
	return errors.Join(checkConsumers(e, before, asked), checkSeeker(e, before, asked), checkLives(e, before, asked), e.Close())
}

// crashAppender appends.
func crashAppender(c *crasher, s engine.Stream, rnd *rand.Rand, steps int) error {
	for range steps {
		batch := make([]engine.Payload, 1+rnd.IntN(3))
		for i := range batch {
			typ := string(rune('a' + rnd.IntN(3)))
			batch[i] = engine.Payload{Data: make([]byte, rnd.IntN(500)), Type: typ, Key: typ}
		}
		first, err := s.Append(context.Background(), batch...)
		if err != nil {
			return err
		}
		for i := range batch {
			c.h.add(event{kind: "appended", seq: first + engine.Seq(i), typ: batch[i].Type})
		}
	}
	return nil
}

// crashReader takes deliveries and settles most of them, until stop.
func crashReader(stop context.Context, c *crasher, s engine.Stream, spec engine.ConsumerSpec, rnd *rand.Rand) error {
	ctx := context.Background()
	r, err := s.Consumer(ctx, spec)
	if err != nil {
		return err
	}
	c.h.add(event{kind: "opened", consumer: spec.Name})
	for held := []engine.Delivery{}; stop.Err() == nil; {
		if len(held) < spec.MaxInFlight && rnd.IntN(3) > 0 {
			brief, cancel := context.WithTimeout(stop, time.Millisecond)
			d, err := r.Next(brief)
			cancel()
			if err == nil {
				held = append(held, d)
			} else if brief.Err() == nil {
				return err
			}
		}
		if len(held) == 0 || rnd.IntN(2) == 0 {
			continue
		}
		i := rnd.IntN(len(held))
		d := held[i]
		held = slices.Delete(held, i, i+1)
		if err := crashSettle(ctx, c, r, spec.Name, d, rnd.IntN(6)); err != nil {
			return err
		}
	}
	return r.Close()
}

func crashSettle(ctx context.Context, c *crasher, r engine.Consumer, name string, d engine.Delivery, how int) (err error) {
	e := event{consumer: name, seq: d.Seq}
	switch how {
	case 0:
		e.kind, e.attempt = "retrying", d.Attempt+1
		c.h.add(e)
		err = r.Retry(ctx, d.Seq, time.Duration(d.Seq%4)*5*time.Millisecond)
		e.kind = "retried"
	case 1:
		err = r.Release(ctx, d.Seq)
		e.kind = "released"
	default:
		e.kind = "settling"
		c.h.add(e)
		err = r.Ack(ctx, d.Seq)
		e.kind = "settled"
	}
	c.h.add(e)
	return err
}

// crashKeeper does the keeper's work at random moments, until stop.
func crashKeeper(stop context.Context, c *crasher, e *Engine, s *stream, rnd *rand.Rand) error {
	for stop.Err() == nil {
		begun := len(c.h.upTo(-1))
		if err := e.save(context.Background()); err != nil {
			return err
		}
		c.h.add(event{kind: "saved", seq: engine.Seq(begun)})
		if rnd.IntN(2) == 0 {
			s.passIdle()
			if err := s.trim(context.Background(), 1); err != nil {
				return err
			}
		}
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
	}
	return nil
}

// TestCrash cuts the power at random moments while consumers read: each gets
// all that was acknowledged and that it has not settled, nothing again that a
// completed checkpoint had settled, and no attempt twice that one had counted;
// one that an operator moves is where it was or where it was moved to.
// LEAT_CRASH=full makes a longer run.
func TestCrash(t *testing.T) { seeds.Each(t, func(seed uint64) { testCrash(t, seed) }) }

func testCrash(t *testing.T, seed uint64) {
	share, steps := 0.5, 60
	switch {
	case os.Getenv("LEAT_CRASH") == "full":
		share, steps = 1, 800
	case testing.Short():
		share, steps = 0.2, 30
	}
	start := time.Now()
	c := &crasher{disk: vfs.NewCrashableMem(), share: share, rnd: rand.New(rand.NewPCG(seed, 0))}
	e, err := Open("data", Options{FS: errorfs.Wrap(c.disk, c), CheckpointEvery: time.Hour, TailBytes: 5000})
	if err != nil {
		t.Fatal(err)
	}
	open, err := e.Stream(t.Context(), engine.StreamSpec{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	s := open.(*stream)
	stop, cancel := context.WithCancel(context.Background())
	var appending, others sync.WaitGroup
	run := func(wg *sync.WaitGroup, n uint64, f func(*rand.Rand) error) {
		wg.Go(func() {
			if err := f(rand.New(rand.NewPCG(seed, n))); err != nil {
				t.Error(err)
			}
		})
	}
	for i, spec := range crashSpecs {
		// There before the first record, so that it wants them all.
		first, err := s.Consumer(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		run(&others, uint64(10+i), func(rnd *rand.Rand) error { return crashReader(stop, c, s, spec, rnd) })
	}
	run(&others, 21, func(rnd *rand.Rand) error { return crashSeeker(stop, c, s, rnd) })
	run(&others, 22, func(rnd *rand.Rand) error { return crashLives(stop, c, e, rnd) })
	run(&others, 20, func(rnd *rand.Rand) error { return crashKeeper(stop, c, e, s, rnd) })
	for i := range 3 {
		run(&appending, uint64(30+i), func(rnd *rand.Rand) error { return crashAppender(c, s, rnd, steps) })
	}
	appending.Wait()
	cancel()
	others.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("seed %d: %d crash points in %v, %d events", seed, c.points, time.Since(start).Round(time.Millisecond), len(c.h.upTo(-1)))
	if c.failed != nil {
		t.Error(c.failed)
	}
	if c.points < 20 {
		t.Errorf("only %d crash points", c.points)
	}
}
