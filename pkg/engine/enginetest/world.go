package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
)

// world is an open engine and the words in which the tests speak of it.
type world struct {
	*testing.T
	ctx    context.Context
	h      Harness
	engine engine.Engine
	stop   context.CancelFunc
	// fresh makes another store.
	fresh func(testing.TB) Harness
}

// patience bounds whatever must happen; what must not happen is watched for a
// blink.
const (
	patience = 10 * time.Second
	blink    = 20 * time.Millisecond
)

func newWorld(t *testing.T, open func(testing.TB) Harness) *world {
	ctx, stop := context.WithTimeout(context.Background(), 6*patience)
	h := open(t)
	return &world{T: t, ctx: ctx, stop: stop, h: h, engine: h.Open(t), fresh: open}
}

// seed is the n-th seed of a test: of LEAT_SEED, or any.
func (w *world) seed(n int) uint64 {
	seed, err := strconv.ParseUint(os.Getenv("LEAT_SEED"), 10, 64)
	if seed += uint64(n); err != nil || os.Getenv("LEAT_SEED") == "0" {
		seed = rand.Uint64()
	}
	if n == 0 {
		w.Logf("LEAT_SEED=%d", seed)
	}
	return seed
}

// tortureTime is how long a test may go on that has no end of its own.
func tortureTime(w *world) time.Duration {
	length, err := time.ParseDuration(os.Getenv("LEAT_TORTURE_TIME"))
	if err != nil && os.Getenv("LEAT_TORTURE_TIME") != "" {
		w.Fatalf("LEAT_TORTURE_TIME: %v", err)
	}
	return length
}

func (w *world) close() {
	w.stop()
	w.no(w.engine.Close(), "Close")
}

func (w *world) reopen() {
	w.Helper()
	w.no(w.engine.Close(), "Close")
	w.engine = w.h.Open(w)
}

// no ends the test if there is an error.
func (w *world) no(err error, what string) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// wantErr wants an error of a kind.
func (w *world) wantErr(err, want error, what string) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("%s: %v, want %v", what, err, want)
	}
}

// stream opens a stream that keeps its records.
func (w *world) stream(name string) engine.Stream {
	w.Helper()
	return w.streamWith(engine.StreamSpec{Name: name, Retention: engine.KeepForever})
}

func (w *world) streamWith(spec engine.StreamSpec) engine.Stream {
	w.Helper()
	s, err := w.engine.Stream(w.ctx, spec)
	w.no(err, "Stream")
	return s
}

// consumer opens a consumer for ten at once; more changes its spec.
func (w *world) consumer(s engine.Stream, name string, more ...func(*engine.ConsumerSpec)) engine.Consumer {
	w.Helper()
	spec := engine.ConsumerSpec{Name: name, MaxInFlight: 10}
	for _, f := range more {
		f(&spec)
	}
	c, err := s.Consumer(w.ctx, spec)
	w.no(err, "Consumer")
	return c
}

func earliest(s *engine.ConsumerSpec) { s.FromEarliest = true }
func ordered(s *engine.ConsumerSpec)  { s.Ordered = true }

func atOnce(n int) func(*engine.ConsumerSpec) {
	return func(s *engine.ConsumerSpec) { s.MaxInFlight = n }
}

func types(values ...string) func(*engine.ConsumerSpec) {
	return func(s *engine.ConsumerSpec) { s.Interest.Types = values }
}

func sources(values ...string) func(*engine.ConsumerSpec) {
	return func(s *engine.ConsumerSpec) { s.Interest.Sources = values }
}

// payload has its text as type and key too.
func payload(text string) engine.Payload {
	return engine.Payload{Data: []byte(text), Type: text, Source: "/s", Key: text}
}

// append appends each text as one batch and returns the first seq.
func (w *world) append(s engine.Stream, texts ...string) engine.Seq {
	w.Helper()
	payloads := make([]engine.Payload, len(texts))
	for i, text := range texts {
		payloads[i] = payload(text)
	}
	first, err := s.Append(w.ctx, payloads...)
	w.no(err, "Append")
	return first
}

// next wants a delivery.
func (w *world) next(c engine.Consumer) engine.Delivery {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	d, err := c.Next(ctx)
	w.no(err, "Next")
	return d
}

func show(d engine.Delivery) string { return fmt.Sprintf("%d=%s#%d", d.Seq, d.Data, d.Attempt) }

// wantNext wants these deliveries, in this order, each as seq=text#attempt.
func (w *world) wantNext(c engine.Consumer, want ...string) {
	w.Helper()
	for i := range want {
		if got := show(w.next(c)); got != want[i] {
			w.Fatalf("delivery %s, want %s", got, want[i])
		}
	}
}

// wantNone wants no delivery for a blink.
func (w *world) wantNone(c engine.Consumer) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, blink)
	defer cancel()
	d, err := c.Next(ctx)
	if err == nil {
		w.Fatalf("delivery %s, want none", show(d))
	}
	w.wantErr(err, context.DeadlineExceeded, "Next")
}

func (w *world) ack(c engine.Consumer, seqs ...engine.Seq) {
	w.Helper()
	for _, seq := range seqs {
		w.no(c.Ack(w.ctx, seq), fmt.Sprintf("Ack %d", seq))
	}
}

func (w *world) retry(c engine.Consumer, seq engine.Seq, after time.Duration) {
	w.Helper()
	w.no(c.Retry(w.ctx, seq, after), fmt.Sprintf("Retry %d", seq))
}

func (w *world) release(c engine.Consumer, seq engine.Seq) {
	w.Helper()
	w.no(c.Release(w.ctx, seq), fmt.Sprintf("Release %d", seq))
}

func (w *world) state(c engine.Consumer) engine.ConsumerState {
	w.Helper()
	st, err := c.State(w.ctx)
	w.no(err, "consumer's State")
	return st
}

// bounds are the stream's first and head.
func (w *world) bounds(s engine.Stream) (first, head engine.Seq) {
	w.Helper()
	st, err := s.State(w.ctx)
	w.no(err, "stream's State")
	return st.First, st.Head
}

// texts is what a reader finds, as "1=a 2=b".
func (w *world) texts(s engine.Stream, from engine.Seq, limit int) (text string) {
	w.Helper()
	records, err := s.Read(w.ctx, from, limit)
	w.no(err, "Read")
	for i, r := range records {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%d=%s", r.Seq, r.Data)
	}
	return text
}

func (w *world) wantTexts(s engine.Stream, want string) {
	w.Helper()
	if got := w.texts(s, 0, 1000); got != want {
		w.Errorf("the stream holds %s, want %s", got, want)
	}
}

// eventually waits for what an engine does in its own time.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// stays watches that something is still so after a blink.
func (w *world) stays(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(blink); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if !ok() {
			w.Fatalf("no more: %s", what)
		}
	}
}

// inBackground calls Next again and again; stop waits for its end. What is not
// wanted is settled.
func (w *world) inBackground(c engine.Consumer) (deliveries <-chan engine.Delivery, stop func()) {
	ctx, cancel := context.WithCancel(w.ctx)
	got, ended := make(chan engine.Delivery, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			d, err := c.Next(ctx)
			if err != nil {
				return
			}
			if string(d.Data) == "b" {
				_ = c.Ack(ctx, d.Seq) // the test sees its lag
				continue
			}
			got <- d
		}
	}()
	return got, func() { cancel(); <-ended }
}
