package deliver

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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
	for len(target.large) < largeReplies {
		time.Sleep(time.Millisecond)
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
	if n := len(target.large); n != 0 {
		t.Errorf("%d large replies are being read after the end of all attempts", n)
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
