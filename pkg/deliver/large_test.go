package deliver

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var replyHeader = []string{"Ce-Specversion", "1.0", "Ce-Id", "2", "Ce-Source", "/s", "Ce-Type", "t"}

// A destination that answers with replies without end has a few of them read at
// a time; another's large reply does not wait for that.
func TestLargeRepliesTakeTurns(t *testing.T) {
	endless := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		flushed(answer(200, strings.Repeat("x", 2*smallReply), replyHeader...))(w, r)
		<-r.Context().Done()
	})
	other := newSubscriber(t, (*httptest.Server).Start, flushed(answer(200, strings.Repeat("x", 2*smallReply), replyHeader...)))
	c := newClient(t, Options{})
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range largeReplies {
		all.Go(func() { c.Send(ctx, endless.dest(), testEvent(), SendOptions{PreferReply: true}) })
	}
	target, err := c.targets.get(endless.dest())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(target.large) < largeReplies; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d large replies are being read, want %d", len(target.large), largeReplies)
		}
	}
	o := c.Send(ctx, endless.dest(), testEvent(), SendOptions{PreferReply: true, Timeout: 100 * time.Millisecond})
	if o.ReplyErr == nil || !strings.Contains(o.ReplyErr.Error(), "waited too long for other large ones") || Classify(o) != Retryable {
		t.Errorf("%+v, want that the reply had no turn", o)
	}
	if o := c.Send(ctx, other.dest(), testEvent(), SendOptions{PreferReply: true}); o.Reply == nil {
		t.Errorf("another destination: %+v, want its reply", o)
	}
	stop()
	all.Wait()
	for deadline := time.Now().Add(10 * time.Second); len(target.large) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d large replies are being read after the end of all attempts", len(target.large))
		}
	}
}

// The first deliveries to a destination, all at once, share its bounds.
func TestOneTargetForAll(t *testing.T) {
	s := newSubscriber(t, (*httptest.Server).Start, answer(202, ""))
	for range 200 {
		c := newClient(t, Options{})
		got := make(chan *target)
		for range 4 {
			go func() {
				target, err := c.targets.get(s.dest())
				if err != nil {
					t.Error(err)
				}
				got <- target
			}()
		}
		first := <-got
		for range 3 {
			if other := <-got; other != first {
				t.Fatal("one destination has two targets")
			}
		}
	}
}

// What does not claim to be an event is no reply however long it is, and is not
// read to its end.
func TestEndlessBodyIsNotRead(t *testing.T) {
	var written atomic.Int64
	s := newSubscriber(t, (*httptest.Server).Start, func(w http.ResponseWriter, _ *http.Request) {
		block := strings.Repeat("x", 64<<10)
		for {
			n, err := io.WriteString(w, block)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	c := newClient(t, Options{MaxReplyBytes: 1 << 30})
	o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true})
	if o.ReplyErr == nil || !strings.Contains(o.ReplyErr.Error(), noEvent) || Classify(o) != Retryable {
		t.Errorf("%+v, want that this is no reply", o)
	}
	if n := written.Load(); n > 64<<20 { // what fits between two ends of a connection is far less
		t.Errorf("%d bytes were written to who does not want them", n)
	}
}

// A large reply arrives whole, or not at all.
func TestLargeReplyIsWhole(t *testing.T) {
	const max = 2 << 20
	var data strings.Builder
	for data.Len() < max+1 {
		data.WriteString("some words that are not all the same ")
		data.WriteString(strconv.Itoa(data.Len()))
	}
	c := newClient(t, Options{MaxReplyBytes: max})
	for _, size := range []int{smallReply - 1, smallReply, smallReply + 1, smallReply + 256<<10, 1 << 20, max, max + 1} {
		for name, header := range map[string][]string{
			"":                nil,
			"breaks off":      {"Content-Length", strconv.Itoa(size + 1)},
			"breaks off soon": {"Content-Length", strconv.Itoa(2 * size)},
		} {
			want := data.String()[:size]
			s := newSubscriber(t, (*httptest.Server).Start, flushed(answer(200, want, append(header, replyHeader...)...)))
			o := c.Send(t.Context(), s.dest(), testEvent(), SendOptions{PreferReply: true})
			switch {
			case size > max || name != "":
				if o.Reply != nil || Classify(o) != Retryable {
					t.Errorf("%d bytes, %s: %v, want an error", size, name, o.ReplyErr)
				}
			case o.Reply == nil || string(o.Reply.Data()) != want:
				t.Errorf("%d bytes: %v, and they did not arrive as they were", size, o.ReplyErr)
			}
		}
	}
}
