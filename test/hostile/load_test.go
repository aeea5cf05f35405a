package hostile

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd opens n connections, eight at a time, and lets each begin. They are
// closed at the end of the attack.
func (w *world) crowd(n int, begin func(net.Conn)) (leave func()) {
	w.t.Helper()
	var mu sync.Mutex
	var conns []net.Conn
	var senders sync.WaitGroup
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	for range 8 {
		senders.Go(func() {
			for range left {
				conn, err := net.Dial("tcp", w.Listen)
				if err != nil {
					w.t.Error(err)
					return
				}
				mu.Lock()
				conns = append(conns, conn)
				mu.Unlock()
				// Whoever is cut off has what it deserves.
				_ = conn.SetWriteDeadline(time.Now().Add(bound))
				begin(conn)
			}
		})
	}
	senders.Wait()
	return func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// most fails the test if the binary has ever taken more memory than this, and
// says how much it has.
func (w *world) most(what string, heapMiB int) {
	w.t.Helper()
	v := w.look()
	w.t.Logf("%s: %v", what, v)
	if v.heapPeak > heapMiB<<20 {
		w.t.Errorf("%s: the heap had %d MiB, want at most %d", what, v.heapPeak>>20, heapMiB)
	}
}

// 10,000 connections say nothing, begin a header, or are kept after a request.
func TestIdleConnections(t *testing.T) {
	const each = 3333
	underAttack(t, nil, func(w *world) {
		silent := w.crowd(each, func(net.Conn) {})
		half := w.crowd(each, func(c net.Conn) { _, _ = io.WriteString(c, head) })
		kept := w.crowd(each, func(c net.Conn) { _, _ = io.WriteString(c, whole(plain, "", "")); _, _ = c.Read(make([]byte, 1000)) })
		w.most("10,000 connections", 300)
		silent()
		half()
		kept()
	})
}

// More connections than there may be: idle ones make room, and the log never
// lacks a file.
func TestMoreConnectionsThanFiles(t *testing.T) {
	underAttackOf(t, config{files: 400}, func(w *world) {
		leave := w.crowd(2000, func(c net.Conn) { _, _ = io.WriteString(c, head) })
		if n := w.look().files; n > 300 {
			t.Errorf("%d files are open, of 400", n)
		}
		leave()
	})
}

func TestHeaderBombs(t *testing.T) {
	bomb := head + "ce-x: " + strings.Repeat("a", 200<<10)
	underAttack(t, nil, func(w *world) {
		leave := w.crowd(2000, func(c net.Conn) { _, _ = io.WriteString(c, bomb) })
		w.most("2,000 headers of 200 KiB", 400)
		leave()
	})
}

func TestBodiesWithoutEnd(t *testing.T) {
	data := strings.Repeat("a", 9*mib)
	for name, body := range map[string]string{
		"known length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 10*mib, data),
		"chunked":      chunked + fmt.Sprintf("%x\r\n%s", 10*mib, data),
	} {
		t.Run(name, func(t *testing.T) {
			underAttack(t, nil, func(w *world) {
				leave := w.crowd(100, func(c net.Conn) { _, _ = io.WriteString(c, head+body) })
				w.most("100 bodies of 9 MiB", 400)
				leave()
			})
		})
	}
	// One that goes on sending is answered and cut off when it is too large.
	t.Run("endless", func(t *testing.T) {
		underAttack(t, nil, func(w *world) {
			conn := w.dial()
			_ = conn.SetDeadline(time.Now().Add(bound)) // the next write shows an error of it
			piece := fmt.Sprintf("%x\r\n%s\r\n", mib, strings.Repeat("a", mib))
			_, err := io.WriteString(conn, head+chunked)
			sent := 0
			for ; err == nil && sent < 200; sent++ { // the kernel's buffers take some of it
				_, err = io.WriteString(conn, piece)
			}
			if err == nil {
				t.Errorf("%d MiB were taken", sent)
			}
			// The answer, if it was not lost when the connection was reset.
			answer, _ := io.ReadAll(conn)
			if got := statuses(string(answer)); got[0] != 413 && got[0] != cutOff {
				t.Errorf("answered %v", got)
			}
		})
	})
	// What is not counted in the budget, from as many as there may be.
	t.Run("small", func(t *testing.T) {
		underAttack(t, nil, func(w *world) {
			leave := w.crowd(8000, func(c net.Conn) {
				_, _ = io.WriteString(c, head+"Content-Length: 8192\r\n\r\n"+strings.Repeat("a", 8191))
			})
			w.most("8,000 bodies of 8 KiB", 400)
			leave()
		})
	})
}
