package torture

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

// damage changes a byte of the text in the only file that holds it, and returns
// that file's name.
func damage(t *testing.T, folder, text string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			b[at] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return filepath.Base(path)
		}
	}
	t.Fatalf("none of %q holds the text", files)
	return ""
}

// noisy is an event's data: its number between bytes that are not compressed.
func noisy(stream string, number int) []byte {
	data := make([]byte, 6000)
	x := uint64(number)*2862933555777941757 + uint64(len(stream))
	for i := range data {
		x = x*6364136223846793005 + 1442695040888963407
		data[i] = byte(x >> 56)
	}
	copy(data[3000:], "<"+stream+strconv.Itoa(number)+">")
	return data
}

// A block of the store rots while the process is down. It says which file it is;
// what lies before the damage is delivered, other streams are served as if
// nothing were, and a stream whose end is not known takes no events but does not
// tell senders to give up.
func TestDamagedBlock(t *testing.T) {
	const events = 40
	for name, tt := range map[string]struct {
		damaged   int // which event
		delivered int // of the damaged stream, at least
		status    int // of a further event
	}{
		"in the middle": {damaged: 20, delivered: 18, status: http.StatusAccepted},
		"at the end":    {damaged: events, delivered: 0, status: http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			good, bad := newSink(t, nil), newSink(t, nil)
			good.hang()
			bad.hang()
			data := t.TempDir()
			l := harness.StartOn(t, data, []string{"--grace-period", "100ms"},
				harness.Broker("orders"), harness.Trigger("bad", "orders", bad.url),
				harness.Broker("payments"), harness.Trigger("good", "payments", good.url))
			for number := 1; number <= events; number++ {
				for _, broker := range []string{"orders", "payments"} {
					harness.Send(t, l.BrokerURL(broker), harness.Event(strconv.Itoa(number),
						harness.Data("application/octet-stream", noisy(broker, number))))
				}
			}
			if err := l.Stop(); err != nil {
				t.Fatal(err)
			}
			file := damage(t, data, "<orders"+strconv.Itoa(tt.damaged)+">")
			good.resume()
			bad.resume()
			l.Restart()
			harness.Eventually(t, "the damaged file is in the log", func() bool { return l.Log.Contains("damaged", file) })
			settled(t, "events of the good stream", func() int { n, _ := good.got.count(); return events - n })
			settled(t, "events before the damage", func() int { n, _ := bad.got.count(); return max(0, tt.delivered-n) })
			harness.Send(t, l.BrokerURL("payments"), harness.Event(strconv.Itoa(events+1)))
			settled(t, "a further event of the good stream", func() int { n, _ := good.got.count(); return events + 1 - n })
			header, body := harness.Binary(harness.Event(strconv.Itoa(events + 1)))
			if r := harness.Post(t, l.BrokerURL("orders"), header, body); r.Status != tt.status {
				t.Errorf("a further event of the damaged stream was answered %d %s, want %d", r.Status, r.Body, tt.status)
			}
			for number := range events {
				if bad.got.has(number) && number >= tt.damaged {
					t.Errorf("event %d was delivered, though event %d before it cannot be read", number, tt.damaged)
				}
			}
			if tt.delivered > 0 {
				harness.Eventually(t, "the route shows the damage", func() bool {
					return strings.Contains(l.Route("bad").LastError, file)
				})
			}
		})
	}
}
