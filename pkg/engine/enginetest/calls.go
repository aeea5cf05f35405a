package enginetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
)

// call is one call of a model test with all that is random in it. What it means
// depends on what was called before, but it can always be made, so that calls
// can be left out.
type call struct {
	op   operation
	who  string // the consumer, which is opened first where it is not
	spec engine.ConsumerSpec
	keys string // of the appended records
	n    int    // trim, seek: where to; deliver: settle the n-th above the floor
	how  settlement
	// probe waits for a delivery though there is none.
	probe bool
}

type operation string

const (
	removeStream   operation = "remove the stream"
	reopen         operation = "reopen the engine"
	removeConsumer operation = "remove consumer"
	trim           operation = "trim"
	seek           operation = "seek"
	appendBatch    operation = "append"
	compare        operation = "compare"
	closeConsumer  operation = "close consumer"
	deliver        operation = "deliver to"
)

type settlement string

const (
	ack       settlement = "ack"
	parkShort settlement = "retry at once"
	parkLong  settlement = "retry in an hour"
	release   settlement = "release"
)

// String shows the call as one would make it.
func (c call) String() string {
	switch c.op {
	case removeConsumer:
		return fmt.Sprintf("%s %s", c.op, c.who)
	case trim:
		return fmt.Sprintf("%s to %d", c.op, c.n)
	case seek:
		return fmt.Sprintf("%s %s to %d", c.op, c.who, c.n)
	case appendBatch:
		return fmt.Sprintf("%s %s", c.op, c.keys)
	case closeConsumer, deliver:
		return fmt.Sprintf("%s %s (earliest %v, ordered %v, %d at once), %s the one %d above its floor",
			c.op, c.who, c.spec.FromEarliest, c.spec.Ordered, c.spec.MaxInFlight, c.how, c.n)
	}
	return string(c.op)
}

// randomCalls makes as many calls.
func randomCalls(rnd *rand.Rand, n int) []call {
	calls := make([]call, n)
	for i := range calls {
		calls[i] = randomCall(rnd)
	}
	return calls
}

func randomCall(rnd *rand.Rand) call {
	c := call{
		who: string(rune('p' + rnd.IntN(4))), n: rnd.IntN(4), probe: rnd.IntN(20) == 0,
		how: []settlement{parkLong, parkShort, parkShort, release, ack, ack, ack, ack}[rnd.IntN(8)],
	}
	c.spec = engine.ConsumerSpec{Name: c.who, FromEarliest: rnd.IntN(2) == 0, MaxInFlight: 1 + rnd.IntN(4), Ordered: rnd.IntN(2) == 0}
	switch n := rnd.IntN(200); {
	case n < 1:
		c.op = removeStream
	case n < 4:
		c.op = reopen
	case n < 7:
		c.op = removeConsumer
	case n < 10:
		c.op, c.n = trim, rnd.IntN(1000)
	case n < 14:
		c.op, c.n = seek, rnd.IntN(1000)
	case n < 40:
		c.op = appendBatch
		for range 1 + rnd.IntN(3) {
			c.keys += string(rune('a' + rnd.IntN(3)))
		}
	case n < 50:
		c.op = compare
	case n < 55:
		c.op = closeConsumer
	default:
		c.op = deliver
	}
	return c
}

// shrink leaves out calls as long as those that are left still fail, and
// returns them with their failure.
func shrink(calls []call, failure error, until time.Time, fails func([]call) error) ([]call, error) {
	for size := (len(calls) + 1) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(calls); {
			if time.Now().After(until) {
				return calls, failure
			}
			end := min(at+size, len(calls))
			rest := append(append([]call(nil), calls[:at]...), calls[end:]...)
			if err := fails(rest); err != nil {
				calls, failure, smaller = rest, err, true
			} else {
				at = end
			}
		}
		if size > 1 || !smaller {
			size /= 2
		}
	}
	return calls, failure
}

const (
	modelCalls = 1500
	// shrinkTime bounds how long a failure is made smaller, shrinkPatience how
	// long one try waits for a delivery.
	shrinkTime     = time.Minute
	shrinkPatience = time.Second
)

// Model makes random calls on a new store, one after the other, and compares
// each answer with a plain model's. It returns the shortest calls that it can
// find on which engine and model disagree, and how, or nil.
func Model(t testing.TB, open func(testing.TB) Harness, seed uint64) error {
	calls := randomCalls(rand.New(rand.NewPCG(seed, 0)), modelCalls)
	at, err := disagreement(t, open(t), patience, calls)
	if err == nil {
		return nil
	}
	first := fmt.Errorf("seed %d, call %d of %d: %w", seed, at+1, len(calls), err)
	calls, err = shrink(calls[:at+1], err, time.Now().Add(shrinkTime), func(fewer []call) error {
		_, err := disagreement(t, open(t), shrinkPatience, fewer)
		return err
	})
	var list strings.Builder
	for i, c := range calls {
		fmt.Fprintf(&list, "\n%3d. %s", i+1, c)
	}
	return fmt.Errorf("%w\nshrunk to %d calls:%s\n%w", first, len(calls), list.String(), err)
}

// testModel runs Model, again and again with other seeds for as long as
// LEAT_TORTURE_TIME says.
func testModel(w *world) {
	begun, length := time.Now(), tortureTime(w)
	for n := 0; n == 0 || time.Since(begun) < length; n++ {
		seed := w.seed(n)
		if err := Model(w, w.fresh, seed); err != nil {
			w.Fatal(err)
		}
	}
}
