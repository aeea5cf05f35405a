package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble reads its manifest and its newest write-ahead file up to the first
// place that makes no sense and takes it for the end, as a power cut leaves it.
// Damage looks the same, and what follows would be lost without a word: of the
// manifest, whole tables. So before Pebble opens them we look whether there is
// something behind that place that can only be there if the place was once
// good.
//
// Both are files of 32 KiB blocks, which hold chunks: a checksum of what follows
// the size, a size, a type, and in write-ahead files the file's number and how
// far it was synced when the chunk was written.
const (
	blockSize   = 32 << 10
	plainHeader = 7
	syncHeader  = plainHeader + 4 + 8

	plainFull, plainFirst, plainLast = 1, 2, 4 // types, as the next ones
	syncFull, syncLast               = 9, 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sound says whether b begins with a chunk whose checksum is right, and how long
// it says it is.
func sound(b []byte, header int) (ok bool, length int) {
	if len(b) < header {
		return false, len(b)
	}
	length = header + int(binary.LittleEndian.Uint16(b[4:]))
	if length > len(b) {
		return false, len(b)
	}
	sum := crc32.Checksum(b[6:length], castagnoli)
	return binary.LittleEndian.Uint32(b) == (sum>>15|sum<<17)+0xa282ead8, length
}

// verify looks for damage in the files of the store that Pebble would take for
// their end, and says whether there is no store yet.
func verify(fs vfs.FS, store string) (isNew bool, err error) {
	desc, err := pebble.Peek(store, fs)
	if err != nil || !desc.Exists {
		return err == nil, err
	}
	if err := verifyManifest(fs, desc.ManifestFilename); err != nil {
		return false, err
	}
	return false, verifyLastLog(fs, store)
}

// verifyManifest: each record is synced before the next is written, so that one
// behind a bad place shows that the place was good.
func verifyManifest(fs vfs.FS, path string) error {
	f, err := fs.Open(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	bad := -1
	for at := 0; at < len(b); {
		block := b[at:min(len(b), (at/blockSize+1)*blockSize)]
		ok, length := sound(block, plainHeader)
		kind := byte(0)
		if ok {
			kind = block[6]
		}
		switch {
		case len(block) < plainHeader:
			at += len(block) // the rest of a block that fits no chunk
		case bad < 0 && kind >= plainFull && kind <= plainLast:
			at += length
		case bad < 0:
			bad = at
		case kind == plainFull || kind == plainFirst:
			return fmt.Errorf("%w: %s at byte %d", ErrDamaged, path, bad)
		default:
			at++
		}
	}
	return nil
}

// verifyLastLog: a chunk says how far the file was synced before it.
func verifyLastLog(fs vfs.FS, store string) error {
	name, number, err := lastLog(fs, store)
	if err != nil || name == "" {
		return err
	}
	path := fs.PathJoin(store, name)
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	bad, err := findBad(f, uint32(number))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if bad >= 0 {
		return fmt.Errorf("%w: %s at byte %d", ErrDamaged, path, bad)
	}
	return nil
}

// findBad returns the place that is bad though it was synced once, -1 if there
// is none.
func findBad(r io.Reader, number uint32) (int64, error) {
	block, bad := make([]byte, blockSize), int64(-1)
	for base := int64(0); ; base += blockSize {
		n, err := io.ReadFull(r, block)
		if err == io.EOF {
			return -1, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return -1, err
		}
		for at := 0; n-at >= syncHeader; {
			b := block[at:n]
			ok, length := sound(b, syncHeader)
			ok = ok && b[6] >= syncFull && b[6] <= syncLast && binary.LittleEndian.Uint32(b[7:]) == number
			switch {
			case !ok && bad < 0:
				bad = base + int64(at)
			case ok && bad >= 0 && binary.LittleEndian.Uint64(b[11:]) > uint64(bad):
				return bad, nil
			}
			at += length
		}
	}
}

// lastLog is the write-ahead file with the highest number, "" if there is none.
func lastLog(fs vfs.FS, store string) (last string, number uint64, err error) {
	names, err := fs.List(store)
	if err != nil {
		return "", 0, fmt.Errorf("list %s: %w", store, err)
	}
	for _, name := range names {
		text, isLog := strings.CutSuffix(name, ".log")
		n, err := strconv.ParseUint(text, 10, 32)
		if isLog && err == nil && (last == "" || n > number) {
			last, number = name, n
		}
	}
	return last, number, nil
}
