package hostile

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// cutAfter is when a slow sender must have been cut off: the time for a whole
// request, and some for a busy machine.
const cutAfter = 75 * time.Second

// Senders of a byte at a time, in the header and in the body. The long version
// waits until they are cut off; pkg/server proves the same in made-up time.
func TestSlowSenders(t *testing.T) {
	const each = 200
	stay := 2 * time.Second
	if long() {
		stay = cutAfter
	}
	underAttack(t, nil, func(w *world) {
		var senders sync.WaitGroup
		var mu sync.Mutex
		cut := 0
		deadline := time.Now().Add(stay)
		for i := range 2 * each {
			begin := head
			if i%2 == 0 {
				begin = head + "Content-Length: 100000\r\n\r\n"
			}
			senders.Go(func() {
				conn, err := net.Dial("tcp", w.Listen)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				for _, b := range []byte(begin) {
					if _, err = conn.Write([]byte{b}); err != nil {
						break
					}
				}
				for ; err == nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
					_, err = conn.Write([]byte("x"))
				}
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					cut++
				}
			})
		}
		w.most("slow senders", 200)
		senders.Wait()
		if long() && cut != 2*each {
			t.Errorf("%d of %d slow senders were cut off within %v", cut, 2*each, cutAfter)
		}
	})
}

// Requests of the other tests with bytes changed at random. What comes of each
// is not known here; the binary must answer or end every connection, and go on.
func TestGarbage(t *testing.T) {
	last := time.Now().Add(max(2*time.Second, *tortureTime))
	structured := `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":[1,"\u00e9",null]}}`
	seeds := []string{
		whole(head, "", "data"), head + chunked + "4\r\ndata\r\n0\r\n\r\n", whole(plain, asJSON, structured),
		whole(plain, asBatch, "["+structured+","+structured+"]"), whole(head+"ce-x: %41%ff\r\nknative-a: b\r\n", "text/plain", "x"),
		whole(head, "", "data") + whole(head, "", "data"), "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x01\x05\x00\x00\x00\x01\x83\x86\x84\x01",
	}
	underAttack(t, nil, func(w *world) {
		var senders sync.WaitGroup
		var mu sync.Mutex
		answers := map[int]int{}
		// Many, because a connection lingers for half a second after a refusal.
		for part := range uint64(32) {
			rnd := random(t, part)
			senders.Go(func() {
				for time.Now().Before(last) {
					text := mutate(rnd, []byte(seeds[rnd.IntN(len(seeds))]))
					got, err := w.exchange(text)
					if err != nil {
						t.Errorf("part %d: %q: %v", part, text, err)
						return
					}
					mu.Lock()
					for _, status := range got {
						answers[status]++
					}
					mu.Unlock()
				}
			})
		}
		senders.Wait()
		known := []int{cutOff, 100, 200, 202, 400, 404, 405, 408, 413, 417, 431, 500, 501, 503, 505}
		for status := range answers {
			if !slices.Contains(known, status) {
				t.Errorf("an answer is %d", status)
			}
		}
		t.Logf("answers: %v", answers)
		// Some of them were events, and are rightly stored.
		w.accepted = true
	})
}

// mutate changes a few bytes of a text.
func mutate(rnd *rand.Rand, text []byte) string {
	interesting := "\r\n\x00 :;,/%\"\\{}[]\xff0123456789abcdefx"
	for range rnd.IntN(4) {
		at := rnd.IntN(len(text))
		switch b := interesting[rnd.IntN(len(interesting))]; rnd.IntN(4) {
		case 0:
			text[at] = b
		case 1:
			text = slices.Insert(text, at, b)
		case 2:
			text = slices.Delete(text, at, min(at+1+rnd.IntN(8), len(text)))
		case 3:
			text = slices.Insert(text, at, text[rnd.IntN(at+1):at]...)
		}
		if len(text) == 0 {
			return ""
		}
	}
	return string(text)
}
