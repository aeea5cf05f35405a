package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

// rot changes a byte of the text in the table that holds it.
func rot(t *testing.T, fs *vfs.MemFS, text string) {
	t.Helper()
	names, err := fs.List("data/log")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := "data/log/" + name
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := fs.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte(text))
		if at < 0 {
			continue
		}
		b[at] ^= 1
		f, err = fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(b)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no table holds %q", text)
}

// A route that comes upon events that rotted stops there and says so; an
// operator moves it past them. Nobody does so without being asked.
func TestSeekPastDamage(t *testing.T) {
	const records, damaged = 40, 20
	fs := vfs.NewMem()
	reopen := func() (*Engine, *route) {
		e, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "s"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Consumer(t.Context(), engine.ConsumerSpec{Name: "c", MaxInFlight: records})
		if err != nil {
			t.Fatal(err)
		}
		return e, &route{t, s, c}
	}
	e, r := reopen()
	rnd := rand.NewChaCha8([32]byte{}) // what is random is not compressed
	for seq := 1; seq <= records; seq++ {
		data := make([]byte, 6000)
		_, _ = rnd.Read(data)
		copy(data[3000:], fmt.Sprintf("<%d>", seq))
		r.add(engine.Payload{Data: data})
	}
	r.no(e.Close())
	rot(t, fs, fmt.Sprintf("<%d>", damaged))

	_, r = reopen()
	stopped := engine.Seq(1)
	for failed := 0; failed < 2; { // what was read before the damage may come after the error
		d, err := r.Next(t.Context())
		switch {
		case errors.Is(err, eventlog.ErrDamaged) && strings.Contains(err.Error(), ".sst"):
			failed++
			continue
		case err != nil || d.Seq != stopped || d.Seq >= damaged:
			t.Fatalf("delivery %d, %v, want %d and none from %d on", d.Seq, err, stopped, damaged)
		}
		r.no(r.Ack(t.Context(), d.Seq))
		failed = 0
		stopped++
	}
	st, err := r.Consumer.State(t.Context())
	if err != nil || st.Floor != stopped {
		t.Errorf("the state is %+v, %v", st, err)
	}
	got, err := r.Seek(t.Context(), "c", damaged+10)
	if err != nil || got.Place != damaged+10 || got.Skipped != uint64(damaged+10-stopped) {
		t.Fatalf("the seek came to %+v, %v", got, err)
	}
	for seq := engine.Seq(damaged + 10); seq <= records; seq++ {
		r.next(seq, 0)
	}
}
