package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"leat.dev/leat/pkg/engine"
)

// What happens to a consumer that is moved again and again: seeking is to be at
// seq, sought is there. A removal and a new opening from the earliest record on
// are a seek to 0, during which there may be no consumer: removing.
const (
	seekerName      = "seeker"
	removing        = "removing"
	seeking, sought = "seeking", "sought"
	seekerAtOnce    = 4
)

var seekerSpec = engine.ConsumerSpec{Name: seekerName, MaxInFlight: seekerAtOnce, FromEarliest: true}

// seeker is a consumer that is moved while it has deliveries in flight.
type seeker struct {
	*crasher
	engine.Stream
	engine.Consumer
	rnd *rand.Rand
	// held are deliveries in flight, left those of before a seek.
	held, left []engine.Delivery
}

func (s *seeker) happens(kind string, seq engine.Seq) {
	s.h.add(event{kind: kind, consumer: seekerName, seq: seq})
}

func crashSeeker(stop context.Context, c *crasher, stream engine.Stream, rnd *rand.Rand) (err error) {
	s := &seeker{crasher: c, Stream: stream, rnd: rnd}
	err = s.begin()
	for err == nil && stop.Err() == nil {
		switch n := rnd.IntN(30); {
		case n < 1:
			err = s.begin()
		case n < 4:
			err = s.seek()
		case n < 6 && len(s.left) > 0: // says nothing any more
			err = s.Ack(context.Background(), s.left[0].Seq)
			s.left = s.left[1:]
		case len(s.held)+len(s.left) < seekerAtOnce && n < 20:
			err = s.take(stop)
		case len(s.held) > 0:
			err = crashSettle(context.Background(), c, s.Consumer, seekerName, s.held[0], rnd.IntN(6))
			s.held = s.held[1:]
		}
	}
	return err
}

func (s *seeker) take(stop context.Context) error {
	brief, cancel := context.WithTimeout(stop, time.Millisecond)
	defer cancel()
	d, err := s.Next(brief)
	switch {
	case err == nil:
		s.held = append(s.held, d)
	case brief.Err() == nil:
		return err
	}
	return nil
}

// begin removes the consumer and makes it anew.
func (s *seeker) begin() (err error) {
	ctx := context.Background()
	s.happens(removing, 0)
	if err = s.RemoveConsumer(ctx, seekerName); err != nil {
		return err
	}
	if s.Consumer, err = s.Stream.Consumer(ctx, seekerSpec); err != nil {
		return err
	}
	s.held, s.left = nil, nil
	st, err := s.Consumer.State(ctx)
	s.happens(sought, st.Floor)
	return err
}

func (s *seeker) seek() error {
	ctx := context.Background()
	st, err := s.Stream.State(ctx)
	if err != nil {
		return err
	}
	to := st.First + engine.Seq(s.rnd.IntN(int(st.Head+2-st.First)))
	s.happens(seeking, to)
	got, err := s.Seek(ctx, seekerName, to)
	s.happens(sought, got.Place)
	s.held, s.left = nil, append(s.left, s.held...)
	return err
}

// checkSeeker: the consumer is where it was moved to last, or to where it was
// being moved, and from there on nothing is missing but what it has settled
// since.
func checkSeeker(e *Engine, before, asked []event) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	s, err := e.Stream(ctx, engine.StreamSpec{Name: "s"})
	if err != nil {
		return err
	}
	at := len(before) - 1
	for at >= 0 && before[at].kind != sought {
		at--
	}
	places := asked[max(at, 0):]
	stored, err := s.Consumers(ctx)
	if err != nil || !slices.Contains(stored, seekerName) {
		if !slices.ContainsFunc(places, func(e event) bool { return e.kind == removing }) && at >= 0 {
			err = errors.Join(err, fmt.Errorf("%s: LOST", seekerName))
		}
		return err
	}
	st, err := s.State(ctx)
	if err != nil {
		return err
	}
	last, err := s.Append(ctx, engine.Payload{Type: "a"})
	if err != nil {
		return err
	}
	got, err := drain(ctx, s, seekerSpec, last)
	if err != nil {
		return fmt.Errorf("%s: %w", seekerName, err)
	}
	var errs []error
	for i, p := range places {
		place := p.seq
		switch p.kind {
		case removing, seeking:
			place = max(place, st.First) // what was trimmed cannot be sought
		case sought:
		default:
			continue
		}
		err := checkSought(place, got, before, places[i:])
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s, %s %d: %w", seekerName, p.kind, place, err))
	}
	return errors.Join(errs...)
}

// checkSought compares what a consumer gets with a place and what has happened
// since it was moved there.
func checkSought(place engine.Seq, got map[engine.Seq]int, before, since []event) error {
	settled, attempts := map[engine.Seq]bool{}, map[engine.Seq]int{}
	for i, e := range since {
		if i > 0 && (e.kind == seeking || e.kind == removing) {
			break
		}
		switch {
		case e.consumer != seekerName:
		case e.kind == "settling":
			settled[e.seq] = true
		case e.kind == "retrying":
			attempts[e.seq] = e.attempt
		}
	}
	for seq, attempt := range got {
		if seq < place || attempt > attempts[seq] {
			return fmt.Errorf("seq %d comes as attempt %d, at most %d were made", seq, attempt, attempts[seq])
		}
	}
	for _, e := range before {
		if _, ok := got[e.seq]; e.kind == "appended" && e.seq >= place && !ok && !settled[e.seq] {
			return fmt.Errorf("LOST: acknowledged seq %d does not come", e.seq)
		}
	}
	return nil
}
