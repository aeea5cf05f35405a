package served

import (
	"io"
	"strings"
	"testing"
)

// endless is an answer that never ends; it counts what was read of it.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAnswersAreBounded(t *testing.T) {
	const limit = 1 << 20
	body := &endless{}
	if _, err := readSnapshot(body, limit); err == nil || !strings.Contains(err.Error(), "longer than") || body.read > 4*limit {
		t.Errorf("after %d bytes: %v", body.read, err)
	}
	text := `{"instance":"i"}`
	if _, err := readSnapshot(strings.NewReader(text), int64(len(text))); err != nil {
		t.Errorf("an answer that fits: %v", err)
	}
	if _, err := readSnapshot(strings.NewReader(text), int64(len(text)-1)); err == nil {
		t.Error("an answer that does not fit was read")
	}
	if _, err := readSnapshot(io.LimitReader(body, 3), limit); err == nil {
		t.Error("an answer without JSON was read")
	}
}
