package embedded

import (
	"bytes"
	"encoding/hex"
	"maps"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/pkg/cursor"
	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

// What is on users' disks: docs/durability.md shows the same bytes.
const (
	formatTag    = "45130069 2702ea18" + "bd5fdda4 df8e860f" + "91aad12f 5819962c" + "91aad12f 5819962c"
	formatParked = "00000000 00000000" + "00000002" + "01" + "18ea05a0 bb4991a5" + "00000379 521fe1a8"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(text), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFormatOfTags(t *testing.T) {
	at := time.Unix(0, 0x18ea022769001345)
	got := makeTag(&engine.Payload{Type: "order.placed", Source: "/shop", Key: "/shop"}, at)
	if want := unhex(t, formatTag); !bytes.Equal(got[:], want) {
		t.Errorf("a tag is %x, want %x", got, want)
	}
}

func TestFormatOfUnsettled(t *testing.T) {
	u := cursor.Unsettled{Seq: 1, Attempt: 2, Parked: true, Due: 0x18ea05a0bb4991a5, After: 0x379521fe1a8}
	want := unhex(t, formatParked)
	if got := encodeUnsettled(u, 0); !bytes.Equal(got, want) {
		t.Errorf("a parked record is %x, want %x", got, want)
	}
	if got := decodeUnsettled(1, want, u.Due-u.After, 0); got != u {
		t.Errorf("it is read as %+v, want %+v", got, u)
	}
}

// The marks of a consumer that has settled two of three records.
func TestFormatOfMarks(t *testing.T) {
	fs := vfs.NewMem()
	e, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Stream(t.Context(), engine.StreamSpec{Name: "s", Retention: engine.KeepForever})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Consumer(t.Context(), engine.ConsumerSpec{Name: "trigger/ns/a", MaxInFlight: 3})
	if err != nil {
		t.Fatal(err)
	}
	r := &route{t, s, c}
	r.add(make([]engine.Payload, 3)...)
	for seq := range engine.Seq(3) {
		r.next(seq+1, 0)
	}
	r.no(r.Ack(t.Context(), 1))
	r.no(r.Ack(t.Context(), 2))
	r.no(e.Close())

	log, err := eventlog.Open("data", eventlog.Options{FS: fs})
	r.no(err)
	defer func() { r.no(log.Close()) }()
	stored, err := log.Stream(t.Context(), "s")
	r.no(err)
	got := map[string]string{}
	r.no(stored.Marks(nil, func(key, value []byte) error {
		if len(value) == unsettledLen {
			clear(value[12:21]) // it comes back at once, by the wall clock of that moment
		}
		got[string(key)] = string(value)
		return nil
	}))
	want := map[string]string{
		"trigger/ns/a\x00n": "\x00\x00\x00\x00\x00\x00\x00\x04",
		"trigger/ns/a\x00u\x00\x00\x00\x00\x00\x00\x00\x03": string(make([]byte, unsettledLen)),
	}
	if !maps.Equal(got, want) {
		t.Errorf("the marks are %q, want %q", got, want)
	}
}
