package eventlog

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The space of trimmed records comes back when nothing more is written, too.
func TestSpaceComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, vfs.NewMem())
		s := openStream(t, l, "s")
		random := rand.NewChaCha8([32]byte{1})
		const records, size = 1024, 64 << 10
		for range records {
			data := make([]byte, size)
			_, _ = random.Read(data)
			if _, err := s.Append(context.Background(), []Entry{{Data: data}}); err != nil {
				t.Fatal(err)
			}
		}
		if used := l.DiskUsage(); used < records*size*9/10 {
			t.Fatalf("%d bytes of noise take %d bytes", records*size, used)
		}
		mustTrim(t, s, records+1)
		time.Sleep(spaceBackWithin + time.Second)
		synctest.Wait()
		if used := l.DiskUsage(); used > maxMemTable {
			t.Errorf("nothing is kept, but %d bytes are used, more than what one memtable leaves", used)
		}
	})
}
