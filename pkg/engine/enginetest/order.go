package enginetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"leat.dev/leat/pkg/engine"
)

// keyed is a payload of a key; its text says which of the key it is.
func keyed(key string, n int) engine.Payload {
	return engine.Payload{Data: fmt.Appendf(nil, "%s%d", key, n), Type: "t", Source: "/s", Key: key}
}

func (w *world) appendKeyed(s engine.Stream, texts ...string) {
	w.Helper()
	payloads := make([]engine.Payload, len(texts))
	for i, text := range texts { // "a1": key a
		payloads[i] = engine.Payload{Data: []byte(text), Type: "t", Source: "/s", Key: text[:1]}
	}
	_, err := s.Append(w.ctx, payloads...)
	w.no(err, "Append")
}

// One of a key at a time, in order, also across retries; other keys go on.
func testOrderedPerKey(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", ordered)
	w.appendKeyed(s, "a1", "a2", "b1", "a3", "b2")
	w.wantNext(c, "1=a1#0", "3=b1#0")
	w.wantNone(c)
	w.retry(c, 1, time.Hour) // a is parked, b goes on
	w.wantNone(c)
	w.ack(c, 3)
	w.wantNext(c, "5=b2#0")
	w.appendKeyed(s, "a4", "c1")
	w.wantNext(c, "7=c1#0")
	w.wantNone(c)
	w.ack(c, 5, 7)

	late := w.consumer(s, "late", ordered, earliest)
	w.wantNext(late, "1=a1#0")
	w.retry(late, 1, 10*time.Millisecond)
	w.wantNext(late, "3=b1#0", "7=c1#0", "1=a1#1")
	w.release(late, 1)
	w.wantNext(late, "1=a1#1")
	w.ack(late, 1)
	w.wantNext(late, "2=a2#0")
	w.ack(late, 2)
	w.wantNext(late, "4=a3#0")
	w.wantNone(late)
	// Without order all that wait may go.
	w.no(late.Close(), "Close")
	late = w.consumer(s, "late", ordered)
	w.wantNext(late, "3=b1#0", "4=a3#0", "7=c1#0")
	w.wantNone(late)
}

func testOrderedSurvivesReopen(w *world) {
	s := w.stream("s")
	c := w.consumer(s, "c", ordered)
	w.appendKeyed(s, "a1", "a2", "b1", "b2")
	w.wantNext(c, "1=a1#0", "3=b1#0")
	w.retry(c, 1, 50*time.Millisecond)
	w.ack(c, 3)
	w.reopen()
	c = w.consumer(w.stream("s"), "c", ordered)
	w.wantNext(c, "4=b2#0", "1=a1#1")
	w.wantNone(c)
	w.ack(c, 1)
	w.wantNext(c, "2=a2#0")
}

// Random settlements, closings and restarts: each key's records are settled in
// the order of their seqs and only one is in flight. Of three slots an engine
// keeps none from retries.
func testOrderedAtRandom(w *world) {
	rnd := w.random()
	s := w.stream("s")
	c := w.consumer(s, "c", ordered, atOnce(3))
	const keys, perKey = 6, 25
	for n := range perKey {
		for key := range keys {
			_, err := s.Append(w.ctx, keyed(string(rune('a'+key)), n))
			w.no(err, "Append")
		}
	}
	settled := map[string]int{}
	flying := map[string]engine.Seq{}
	attempts := map[engine.Seq]int{}
	for done := 0; done < keys*perKey; {
		if len(flying) < 3 && len(flying)+countDone(settled, perKey) < keys {
			d := w.next(c)
			key := string(d.Data[:1])
			if flying[key] != 0 {
				w.Fatalf("%s while seq %d of its key is in flight", show(d), flying[key])
			}
			if want := fmt.Sprintf("%s%d", key, settled[key]); string(d.Data) != want {
				w.Fatalf("%s, want %s", show(d), want)
			}
			if d.Attempt != attempts[d.Seq] {
				w.Fatalf("%s, want attempt %d", show(d), attempts[d.Seq])
			}
			flying[key] = d.Seq
		}
		key, seq := pick(rnd, flying)
		switch n := rnd.IntN(20); {
		case n == 0:
			w.no(c.Close(), "Close")
			c = w.consumer(s, "c", ordered, atOnce(3))
			clear(flying)
		case n == 1:
			w.reopen()
			s = w.stream("s")
			c = w.consumer(s, "c", ordered, atOnce(3))
			clear(flying)
		case seq == 0 || n < 8: // let more fly
		case n < 11:
			w.retry(c, seq, time.Duration(rnd.IntN(2000))*time.Microsecond)
			attempts[seq]++
			delete(flying, key)
		case n < 12:
			w.release(c, seq)
			delete(flying, key)
		default:
			w.ack(c, seq)
			settled[key]++
			done++
			delete(flying, key)
		}
	}
	w.wantNone(c)
}

func countDone(settled map[string]int, all int) (n int) {
	for _, done := range settled {
		if done == all {
			n++
		}
	}
	return n
}

// pick is one of the entries by chance, zero if there is none.
func pick(rnd *rand.Rand, m map[string]engine.Seq) (key string, seq engine.Seq) {
	if len(m) == 0 {
		return "", 0
	}
	keys := slices.Sorted(maps.Keys(m))
	key = keys[rnd.IntN(len(keys))]
	return key, m[key]
}

// random is a source of chance whose seed is in the test's output.
func (w *world) random() *rand.Rand { return rand.New(rand.NewPCG(w.seed(0), 0)) }
