package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The data folder:
//
//	FORMAT        "leat 1\n": the layout below; a higher number is refused
//	log/          one Pebble store
//
// Keys of the store. Numbers are big endian, so that they sort.
//
//	'n'                      next stream id                u32
//	's' name                 a stream                      u32 id
//	'r' id:u32 seq:u64       a record                      tag[32] data
//	't' id:u32               all below are trimmed         u64 seq
//	'k' id:u32 key           a mark                        bytes
//
// A stream's id is used once: a stream that is removed and created again gets
// another, so that nothing of its first life can be taken for the second.
const (
	formatFile    = "FORMAT"
	formatVersion = 1
	storeFolder   = "log"

	keyNextID = 'n'
	keyStream = 's'
	keyRecord = 'r'
	keyTrim   = 't'
	keyMark   = 'k'

	recordKeyLen = 1 + 4 + 8
)

// TagSize is the size of a Tag in bytes.
const TagSize = 32

// Tag is what a log keeps beside a payload without looking into it, small
// enough to be read for records whose payload nobody asks for.
type Tag [TagSize]byte

type streamID uint32

func nameKey(name string) []byte { return append([]byte{keyStream}, name...) }

func idKey(kind byte, id streamID) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, uint32(id))
}

func recordKey(id streamID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(idKey(keyRecord, id), seq)
}

func putRecordKey(dst []byte, id streamID, seq uint64) {
	dst[0] = keyRecord
	binary.BigEndian.PutUint32(dst[1:], uint32(id))
	binary.BigEndian.PutUint64(dst[5:], seq)
}

// seqOf is the seq in a record's key.
func seqOf(recordKey []byte) uint64 { return binary.BigEndian.Uint64(recordKey[5:]) }

func markKey(id streamID, key []byte) []byte { return append(idKey(keyMark, id), key...) }

// prefixEnd is the first key behind all keys with the prefix, nil if none is.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// checkFormat refuses a folder of a newer layout before anything in it is
// touched, and marks a new folder with ours.
func checkFormat(fs vfs.FS, dir string) error {
	path := fs.PathJoin(dir, formatFile)
	f, err := fs.Open(path)
	if errors.Is(err, errNotExist) {
		return writeFormat(fs, dir, path)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	number, ours := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), "leat ")
	version, err := strconv.ParseUint(number, 10, 64)
	if !ours || version == 0 || err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%w: %s says %q, which is not a data folder of Leat; use another folder", ErrFormat, path, text)
	}
	if version > formatVersion {
		return fmt.Errorf("%w: %s says version %s, this program knows %d; use the newer program", ErrFormat, path, number, formatVersion)
	}
	return nil
}

// writeFormat makes the file appear whole or not at all.
func writeFormat(fs vfs.FS, dir, path string) error {
	temp := path + ".new"
	f, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create %s: %w", temp, err)
	}
	_, err = fmt.Fprintf(f, "leat %d\n", formatVersion)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = fs.Rename(temp, path)
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// makeFolder makes dir with what is missing above it, so that all of it
// survives a power cut.
func makeFolder(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil || !errors.Is(err, errNotExist) {
		return err
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeFolder(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
