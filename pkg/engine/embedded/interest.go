package embedded

import (
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/eventlog"
)

// A record's tag, read without its payload:
//
//	time:i64 (ns since 1970)  hash(type):u64  hash(source):u64  hash(key):u64
//
// Two values with one hash only mean that a record is handed out which the
// dispatcher's filter then refuses, or that two keys share a lane.
func makeTag(p *engine.Payload, now time.Time) (t eventlog.Tag) {
	binary.LittleEndian.PutUint64(t[0:], uint64(now.UnixNano()))
	binary.LittleEndian.PutUint64(t[8:], xxhash.Sum64String(p.Type))
	binary.LittleEndian.PutUint64(t[16:], xxhash.Sum64String(p.Source))
	binary.LittleEndian.PutUint64(t[24:], xxhash.Sum64String(p.Key))
	return t
}

func tagTime(t *eventlog.Tag) time.Time {
	return time.Unix(0, int64(binary.LittleEndian.Uint64(t[0:])))
}
func tagType(t *eventlog.Tag) uint64   { return binary.LittleEndian.Uint64(t[8:]) }
func tagSource(t *eventlog.Tag) uint64 { return binary.LittleEndian.Uint64(t[16:]) }

// tagLane is never cursor.NoLane.
func tagLane(t *eventlog.Tag) uint64 { return binary.LittleEndian.Uint64(t[24:]) | 1 }

// interest is an engine.Interest as hashes. A nil set wants every value.
type interest struct{ types, sources map[uint64]struct{} }

func newInterest(i engine.Interest) interest {
	return interest{hashes(i.Types), hashes(i.Sources)}
}

func hashes(values []string) map[uint64]struct{} {
	if len(values) == 0 {
		return nil
	}
	set := make(map[uint64]struct{}, len(values))
	for _, v := range values {
		set[xxhash.Sum64String(v)] = struct{}{}
	}
	return set
}

// wants is false only for records that are certainly not wanted.
func (i interest) wants(t *eventlog.Tag) bool {
	return has(i.types, tagType(t)) && has(i.sources, tagSource(t))
}

func has(set map[uint64]struct{}, h uint64) bool {
	if set == nil {
		return true
	}
	_, ok := set[h]
	return ok
}

// idleIndex holds the consumers that have seen everything up to the head, by
// what would interest them: a new record costs one look-up however many
// consumers there are that do not want it. The stream's lock guards it.
type idleIndex struct {
	byType map[uint64]map[*consumer]struct{}
	// others have no certain type.
	others map[*consumer]struct{}
}

func newIdleIndex() idleIndex {
	return idleIndex{map[uint64]map[*consumer]struct{}{}, map[*consumer]struct{}{}}
}

func (x *idleIndex) add(c *consumer) {
	if c.idleInterest.types == nil {
		x.others[c] = struct{}{}
		return
	}
	for h := range c.idleInterest.types {
		set := x.byType[h]
		if set == nil {
			set = map[*consumer]struct{}{}
			x.byType[h] = set
		}
		set[c] = struct{}{}
	}
}

func (x *idleIndex) remove(c *consumer) {
	if c.idleInterest.types == nil {
		delete(x.others, c)
		return
	}
	for h := range c.idleInterest.types {
		delete(x.byType[h], c)
		if len(x.byType[h]) == 0 {
			delete(x.byType, h)
		}
	}
}

// wake calls f with each idle consumer that wants the record.
func (x *idleIndex) wake(t *eventlog.Tag, f func(*consumer)) {
	for c := range x.byType[tagType(t)] {
		if has(c.idleInterest.sources, tagSource(t)) {
			f(c)
		}
	}
	for c := range x.others {
		if has(c.idleInterest.sources, tagSource(t)) {
			f(c)
		}
	}
}
