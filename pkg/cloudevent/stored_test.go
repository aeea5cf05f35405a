package cloudevent

import (
	"bytes"
	"errors"
	"testing"
)

// stored sends an event through its stored form.
func stored(t testing.TB, e *Event) Event {
	t.Helper()
	back, err := Decode(e.AppendStored(nil))
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func same(a, b *Event) bool { return describe(a) == describe(b) && bytes.Equal(a.Data(), b.Data()) }

func TestStored(t *testing.T) {
	full := mustRead(t, binaryHeaders("ce-subject", "s", "content-type", "text/plain", "tracestate", "a=b", "x-request-id", "r"), "body")
	full.SetInt("i", -1)
	full.set("b", Value{Boolean, "true"})
	for _, e := range []Event{full, mustRead(t, binaryHeaders(), ""), {}} {
		if back := stored(t, &e); !same(&e, &back) {
			t.Errorf("got %s %q, want %s %q", describe(&back), back.Data(), describe(&e), e.Data())
		}
	}
}

// The stored form is on users' disks: this is what version 1 looks like.
func TestStoredVersion1(t *testing.T) {
	e := mustRead(t, binaryHeaders("ce-a", "x", "x-request-id", "r"), "body")
	e.SetInt("b", 7)
	const want = "\x01" + "\x011" + "\x02/s" + "\x01t" +
		"\x02" + "\x00\x01a\x01x" + "\x01\x01b\x017" +
		"\x01" + "\x0cX-Request-Id\x01r" + "body"
	if got := string(e.AppendStored(nil)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	e := mustRead(t, binaryHeaders("ce-a", "x", "x-request-id", "r"), "")
	whole := e.AppendStored(nil)
	for n := range whole {
		if _, err := Decode(whole[:n]); !errors.Is(err, ErrStoredForm) {
			t.Errorf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := Decode(append([]byte{3}, whole[1:]...)); !errors.Is(err, ErrStoredVersion) {
		t.Errorf("version 3: %v", err)
	}
	for name, b := range map[string]string{
		"more attributes than bytes": "\x01\x00\x00\x00\xff\xff\xff\xff\x0f\x00",
		"a kind that is none":        "\x01\x00\x00\x00\x01\x03\x01a\x01x\x00",
		"an integer that is none":    "\x01\x00\x00\x00\x01\x01\x01a\x01x\x00",
		"a boolean that is none":     "\x01\x00\x00\x00\x01\x02\x01a\x01x\x00",
		"a length past 64 bits":      "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	} {
		if _, err := Decode([]byte(b)); !errors.Is(err, ErrStoredForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
