package torture

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("leat-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("a small file system cannot be mounted here: ", err, "; run as root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// free are the bytes that are free on the disk of a folder.
func free(t *testing.T, dir string) uint64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return s.Bavail * uint64(s.Bsize)
}

// diskWorld is leat on a small disk, with a Broker whose events go to a sink
// and to one that replies to each; the replies go to a third.
type diskWorld struct {
	*harness.Leat
	disk                        string
	bytes                       int
	healthy, replying, answered *sink
	events                      *senders
}

func newDiskWorld(t *testing.T, bytes, eventSize int, args ...string) *diskWorld {
	w := &diskWorld{disk: smallDisk(t, bytes), bytes: bytes}
	w.healthy = newSink(t, nil)
	w.answered = newSink(t, nil)
	w.replying = newSink(t, func(rw http.ResponseWriter, number int) {
		rw.Header()["Ce-Id"] = []string{strconv.Itoa(number)}
		rw.Header()["Ce-Source"] = []string{"/replying"}
		rw.Header()["Ce-Specversion"] = []string{"1.0"}
		rw.Header()["Ce-Type"] = []string{"reply"}
	})
	w.Leat = harness.StartOn(t, w.disk+"/data", args,
		harness.Broker("orders"),
		harness.Trigger("healthy", "orders", w.healthy.url, "filter: {attributes: {type: order}}"),
		harness.Trigger("replying", "orders", w.replying.url, "filter: {attributes: {type: order}}"),
		harness.Trigger("answered", "orders", w.answered.url, "filter: {attributes: {type: reply}}"))
	w.events = newSenders(t, eventSize, func() string { return w.BrokerURL("orders") })
	return w
}

// fill sends until nothing has been taken for a second: the room is looked at
// ten times in that.
func (w *diskWorld) fill(t *testing.T) {
	t.Helper()
	var taken atomic.Int64
	taken.Store(time.Now().UnixNano())
	w.events.run(t, 8, func(status int) bool {
		switch status {
		case http.StatusAccepted:
			taken.Store(time.Now().UnixNano())
		case http.StatusInsufficientStorage, http.StatusTooManyRequests:
			time.Sleep(5 * time.Millisecond)
		default:
			t.Errorf("an event was answered %d", status)
			return true
		}
		return time.Now().UnixNano()-taken.Load() > int64(time.Second)
	})
}

// resumes waits until an event is taken again by the same process.
func (w *diskWorld) resumes(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(stall)
	w.events.run(t, 1, func(status int) bool {
		time.Sleep(20 * time.Millisecond)
		if time.Now().After(deadline) {
			t.Errorf("events are delivered, but none is taken for %v", stall)
		}
		return status == http.StatusAccepted || t.Failed()
	})
}

// round fills the disk while nothing is delivered, and empties it.
func (w *diskWorld) round(t *testing.T, kill bool) (taken int) {
	t.Helper()
	before, _ := w.events.acked.count()
	w.healthy.hang()
	w.replying.hang()
	w.fill(t)
	if kill {
		w.Restart()
		w.fill(t)
	}
	after, _ := w.events.acked.count()
	w.healthy.resume()
	w.replying.resume()
	w.resumes(t)
	for name, s := range map[string]*sink{"healthy": w.healthy, "replying": w.replying, "answered": w.answered} {
		allSeen(t, name, &s.got, &w.events.acked)
	}
	half := uint64(w.bytes / 2)
	settled(t, "bytes that delivered events still take of the disk", func() int {
		return int(half - min(half, free(t, w.disk)))
	})
	return after - before
}

// On a disk that is full the answer is 507, what was acknowledged stays, also
// when the process is killed then and starts again on the full disk; delivery
// goes on and makes room, and events are taken again without a restart.
func TestDiskFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs tmpfs")
	}
	for _, tt := range []struct {
		name        string
		bytes, size int
		args        []string
		rounds      int
	}{
		{"64 MiB", 64 << 20, 16 << 10, []string{"--min-free-disk", "8Mi"}, 2},
		{"64 MiB, small events", 64 << 20, 1 << 10, []string{"--min-free-disk", "8Mi"}, 0},
		{"1 GiB, limits by default", 1 << 30, 64 << 10, nil, 0},
	} {
		if tt.rounds == 0 && !long() {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			w := newDiskWorld(t, tt.bytes, tt.size, tt.args...)
			begun, most := time.Now(), 0
			for i := 0; i < max(tt.rounds, 2) || time.Since(begun) < *tortureTime/3; i++ {
				taken := w.round(t, i%2 == 1)
				t.Logf("round %d: %d events of %d KiB were taken until the disk was full; %s are free now; answers %s",
					i, taken, tt.size>>10, mebibytes(free(t, w.disk)), w.events.answers())
				if most = max(most, taken); taken < most/2 {
					t.Errorf("round %d: only %d events had room, once it were %d", i, taken, most)
				}
				if t.Failed() {
					return
				}
			}
			w.WaitSettled()
		})
	}
}
