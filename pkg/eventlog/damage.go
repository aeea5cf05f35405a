package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// ErrDamaged says that stored bytes are not those that were written. The error
// says where. What lies elsewhere can be read still.
var ErrDamaged = errors.New("the event log is damaged")

// located gives an error of the store the place of the damage, if it is one.
func located(err error) error {
	if !pebble.IsCorruptionError(err) || errors.Is(err, ErrDamaged) {
		return err
	}
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return fmt.Errorf("%w: %s: %s", ErrDamaged, info.Path, detail(info.Details))
	}
	return fmt.Errorf("%w: %s", ErrDamaged, detail(err))
}

// detail is an error in one line: the store joins some with carriers that say
// nothing, and puts others' places where only %+v shows them.
func detail(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// damages reports each damaged file once: the store would say it with every
// read, and by its default end the process, with all streams.
type damages struct {
	log *slog.Logger

	mu       sync.Mutex
	reported map[string]bool
	names    map[streamID]string
	// toldAt is when an error in the background was last told.
	toldAt time.Time
}

const (
	// backgroundPause is the least time between two attempts at what fails in the
	// background.
	backgroundPause = 50 * time.Millisecond
	// backgroundAgain is how often it is said that something fails there.
	backgroundAgain = time.Minute
)

// inBackground implements pebble.EventListener.BackgroundError. What fails is
// tried again by the store, at once and for ever, as long as a damaged block is
// where it is; so the pause is here, though the store's lock is held.
func (d *damages) inBackground(err error) {
	time.Sleep(backgroundPause)
	d.mu.Lock()
	defer d.mu.Unlock()
	if pebble.IsCorruptionError(err) || errors.Is(err, syscall.ENOSPC) || time.Since(d.toldAt) < backgroundAgain {
		return // told elsewhere
	}
	d.toldAt = time.Now()
	d.log.Error("the store could not put its files in order and tries again", "error", detail(err))
}

func newDamages(log *slog.Logger) *damages {
	return &damages{log: log, reported: map[string]bool{}, names: map[streamID]string{}}
}

// name tells which stream an id is, for the report.
func (d *damages) name(id streamID, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[id] = name
}

// report implements pebble.EventListener.DataCorruption.
func (d *damages) report(info pebble.DataCorruptionInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reported[info.Path] {
		return
	}
	d.reported[info.Path] = true
	d.log.Error("the event log is damaged; what the damaged block holds cannot be read, the rest is served",
		"file", info.Path, "error", detail(info.Details),
		"fileFrom", d.show(info.Bounds.Start), "fileTo", d.show(info.Bounds.End.Key))
}

// show is a key of the store in words.
func (d *damages) show(key []byte) string {
	if len(key) < 5 || key[0] == keyStream || key[0] == keyNextID {
		return "the list of streams"
	}
	id := streamID(binary.BigEndian.Uint32(key[1:]))
	name, ok := d.names[id]
	if !ok {
		name = fmt.Sprintf("with the number %d", id)
	}
	if key[0] == keyRecord && len(key) == recordKeyLen {
		return fmt.Sprintf("event %d of stream %s", seqOf(key), name)
	}
	return "the progress of stream " + name
}
