package eventlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"leat.dev/leat/test/seeds"
)

// damageable is a closed log whose files a test may damage.
type damageable struct {
	disk *vfs.MemFS
	// want are the records of each stream, want[name][0] is seq 1.
	want map[string][]string
	// first are the trimmed streams' first seqs.
	first map[string]uint64
	files []string // but for those that are empty
	// spans are the streams that have keys in a table.
	spans map[string]map[string]bool
}

// damageNames are the streams, in the order of their ids.
var damageNames = []string{"one", "two", "three", "four"}

// newDamageable writes streams, one after the other and side by side, so that
// there are tables of one stream and of several. crashed leaves it as SIGKILL
// does, else it is closed.
func newDamageable(t *testing.T, rnd *rand.Rand, crashed bool) *damageable {
	t.Helper()
	d := &damageable{
		disk: vfs.NewCrashableMem(), want: map[string][]string{}, first: map[string]uint64{}, spans: map[string]map[string]bool{},
	}
	l, err := Open(testDir, Options{FS: d.disk, memTable: smallTable})
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, n int) {
		s := openStream(t, l, name)
		for range n {
			text := fmt.Sprintf("%s %d ", name, len(d.want[name])) + random(rnd, 200+rnd.IntN(1500))
			mustAppend(t, s, text)
			d.want[name] = append(d.want[name], text)
		}
	}
	for _, name := range damageNames {
		add(name, 200)
	}
	for range 100 {
		add(damageNames[rnd.IntN(len(damageNames))], 3)
	}
	mustTrim(t, openStream(t, l, "two"), 50)
	d.first["two"] = 50
	for _, name := range damageNames {
		s := openStream(t, l, name)
		if err := l.SetMarks(t.Context(), MarkSet{s, []Mark{mark("a", name)}}); err != nil {
			t.Fatal(err)
		}
	}
	if crashed {
		image := d.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rnd})
		closeLog(t, l)
		d.disk = image
	} else {
		closeLog(t, l)
	}
	d.look(t)
	return d
}

func random(rnd *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return string(b)
}

// look notes which files there are, and which streams are in which table, by a
// copy.
func (d *damageable) look(t *testing.T) {
	t.Helper()
	store := d.disk.PathJoin(testDir, storeFolder)
	list, err := d.disk.List(store)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		path := d.disk.PathJoin(store, name)
		if info, err := d.disk.Stat(path); err == nil && info.Size() > 0 && !info.IsDir() {
			d.files = append(d.files, path)
		}
	}
	for path, table := range tables(t, d.copy(t)) {
		in := map[string]bool{}
		for i, name := range damageNames {
			for _, kind := range []byte{keyRecord, keyTrim, keyMark} {
				prefix := idKey(kind, streamID(i+1))
				if bytes.Compare(table.Smallest.UserKey, prefixEnd(prefix)) < 0 && bytes.Compare(table.Largest.UserKey, prefix) >= 0 {
					in[name] = true
				}
			}
		}
		d.spans[path] = in
	}
}

// tables are those of the store on the disk, which is not changed, by path.
func tables(t *testing.T, disk vfs.FS) map[string]pebble.SSTableInfo {
	t.Helper()
	store := disk.PathJoin(testDir, storeFolder)
	db, err := pebble.Open(store, &pebble.Options{FS: disk, ReadOnly: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	levels, err := db.SSTables()
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	byPath := map[string]pebble.SSTableInfo{}
	for _, level := range levels {
		for _, table := range level {
			byPath[disk.PathJoin(store, table.FileNum.String()+".sst")] = table
		}
	}
	return byPath
}

type quiet struct{}

func (quiet) Infof(string, ...any)         {}
func (quiet) Errorf(string, ...any)        {}
func (quiet) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

func (d *damageable) copy(t *testing.T) *vfs.MemFS {
	t.Helper()
	return d.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// rot changes one byte of a file on a copy of the disk.
func (d *damageable) rot(t *testing.T, path string, at int64, with byte) *vfs.MemFS {
	t.Helper()
	disk := d.copy(t)
	f, err := disk.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte{0}
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= with
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return disk
}

// verdict is what became of a log with a damaged file.
type verdict struct {
	// refused is why it does not open.
	refused error
	// unread are the streams that cannot be read in full, each with the error.
	unread map[string]error
	// short is how many records are missing at the ends of streams without an
	// error.
	short int
	// wrong is what must never be, such as a record that is not what was written.
	wrong []string
	log   string
}

// judge opens a damaged log and reads all that can be read.
func (d *damageable) judge(disk *vfs.MemFS) (v verdict) {
	var log bytes.Buffer
	defer func() {
		v.log = log.String()
		if p := recover(); p != nil {
			v.wrong = append(v.wrong, fmt.Sprint("panic: ", p))
		}
	}()
	v.unread = map[string]error{}
	l, err := Open(testDir, Options{
		FS: disk, memTable: smallTable, Logger: slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, nil)),
		Fatal: func(msg string) { panic("Fatal: " + msg) },
	})
	if err != nil {
		v.refused = err
		return v
	}
	defer func() {
		if err := l.Close(); err != nil {
			v.wrong = append(v.wrong, "close: "+err.Error())
		}
	}()
	for name, want := range d.want {
		short, err := d.judgeStream(l, name, want)
		v.short += short
		if errors.Is(err, ErrDamaged) {
			v.unread[name] = err
		} else if err != nil {
			v.wrong = append(v.wrong, err.Error())
		}
	}
	return v
}

func (d *damageable) judgeStream(l *Log, name string, want []string) (short int, err error) {
	s, err := l.Stream(context.Background(), name)
	if err != nil {
		return 0, err
	}
	first := max(d.first[name], 1)
	f, head := s.Bounds()
	if f > first || head > uint64(len(want)) {
		return 0, fmt.Errorf("%s is %d..%d, was %d..%d", name, f, head, first, len(want))
	}
	got, err := s.Read(nil, first, 1<<20, 1<<30)
	for i, r := range got {
		if r.Seq != first+uint64(i) || string(r.Data) != want[r.Seq-1] {
			return 0, fmt.Errorf("%s: record %d is read as %d %.20q", name, first+uint64(i), r.Seq, r.Data)
		}
	}
	if err == nil && len(got) != int(head-first)+1 {
		return 0, fmt.Errorf("%s: %d records are read of %d..%d", name, len(got), first, head)
	}
	return len(want) - int(head), errors.Join(err, s.Marks(nil, func(key, value []byte) error {
		if string(key) != "a" || string(value) != name {
			return fmt.Errorf("%s: mark %q=%q", name, key, value)
		}
		return nil
	}))
}

// ends are the places from which on damage cannot be told from what a power cut
// tears off: in the newest write-ahead file behind what it says itself was
// synced, in the manifest its last entry.
func (d *damageable) ends(t *testing.T) map[string]int64 {
	t.Helper()
	store := d.disk.PathJoin(testDir, storeFolder)
	desc, err := pebble.Peek(store, d.disk)
	if err != nil {
		t.Fatal(err)
	}
	name, number, err := lastLog(d.disk, store)
	if err != nil {
		t.Fatal(err)
	}
	log, synced, entry := d.disk.PathJoin(store, name), int64(0), int64(0)
	d.chunks(t, log, syncHeader, func(_ int, b []byte) {
		if b[6] >= syncFull && binary.LittleEndian.Uint32(b[7:]) == uint32(number) {
			synced = max(synced, int64(binary.LittleEndian.Uint64(b[11:])))
		}
	})
	d.chunks(t, desc.ManifestFilename, plainHeader, func(at int, _ []byte) { entry = int64(at) })
	return map[string]int64{log: synced, desc.ManifestFilename: entry}
}

// chunks calls f with the chunks of a file that are sound.
func (d *damageable) chunks(t *testing.T, path string, header int, f func(at int, b []byte)) {
	t.Helper()
	b := d.read(t, path)
	for at := 0; at+header < len(b); {
		block := b[at:min(len(b), (at/blockSize+1)*blockSize)]
		ok, length := sound(block, header)
		if ok {
			f(at, block)
		}
		at += length
	}
}

func (d *damageable) read(t *testing.T, path string) []byte {
	t.Helper()
	f, err := d.disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

// A byte of any file is changed while the log is closed. It is found with its
// place, whatever is read is what was written, and streams that have nothing in
// the damaged file are read in full.
func TestDamage(t *testing.T) {
	perFile := 4
	if os.Getenv("LEAT_CRASH") == "full" {
		perFile = 100
	}
	seeds.Each(t, func(seed uint64) {
		for _, crashed := range []bool{false, true} {
			found := testDamage(t, rand.New(rand.NewPCG(seed, 0)), crashed, perFile)
			t.Logf("seed %d, crashed %v: %v", seed, crashed, found)
		}
	})
}

func testDamage(t *testing.T, rnd *rand.Rand, crashed bool, perFile int) map[string]int {
	d := newDamageable(t, rnd, crashed)
	ends := d.ends(t)
	found := map[string]int{}
	for _, path := range d.files {
		size := int64(len(d.read(t, path)))
		for range perFile {
			at, with := rnd.Int64N(size), byte(1+rnd.IntN(255))
			v := d.judge(d.rot(t, path, at, with))
			end, ok := ends[path]
			if ok && crashed && at >= end && v.refused == nil && len(v.wrong) == 0 && (v.short > 0 || len(v.unread) > 0) {
				found["taken for torn off by the crash"]++
				continue
			}
			kind, wrong := d.compare(path, v)
			found[kind]++
			for _, text := range wrong {
				t.Errorf("byte %d ^ %d of %s (%d bytes), crashed %v: %s", at, with, path, size, crashed, text)
			}
		}
	}
	return found
}

// compare says what became of damage in a file, and what should not have.
func (d *damageable) compare(path string, v verdict) (kind string, wrong []string) {
	wrong = v.wrong
	if v.short > 0 {
		wrong = append(wrong, fmt.Sprintf("LOST: %d records, without a word", v.short))
	}
	base := d.disk.PathBase(path)
	kind = strings.Trim(base, "0123456789.-") + " "
	errs := slices.Collect(maps.Values(v.unread))
	switch {
	case v.refused != nil:
		kind += "refused"
		errs = append(errs, v.refused)
	case len(v.unread) == 0:
		return kind + "does not matter", wrong
	default:
		kind += fmt.Sprintf("%d of %d streams not read in full", len(v.unread), len(d.want))
		if strings.Count(v.log, base) != 1 {
			wrong = append(wrong, "the log must say it once: "+v.log)
		}
	}
	for _, err := range errs {
		if !strings.Contains(err.Error(), base) {
			wrong = append(wrong, "an error that does not say where the damage is: "+err.Error())
		}
	}
	for name := range v.unread {
		if !d.spans[path][name] {
			wrong = append(wrong, fmt.Sprintf("stream %s is not in this file, but is not read: %v", name, v.unread[name]))
		}
	}
	return kind, wrong
}

// A stream whose newest records are damaged takes no more, because nobody knows
// which seq is next; it can be removed, and the others go on.
func TestDamagedEnd(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) // what is random is not compressed
	d := &damageable{disk: vfs.NewCrashableMem()}
	l := openLog(t, d.disk)
	for _, name := range []string{"good", "bad", "also good"} {
		for i := range 20 {
			mustAppend(t, openStream(t, l, name), fmt.Sprint(name, i, random(rnd, 2000)))
		}
	}
	closeLog(t, l)
	path, at := "", -1
	for p := range tables(t, d.disk) {
		if i := bytes.Index(d.read(t, p), []byte("bad19")); i >= 0 {
			path, at = p, i
		}
	}
	disk := d.rot(t, path, int64(at), 1)
	l = openLog(t, disk)
	if s, err := l.Stream(t.Context(), "bad"); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "bad") {
		t.Fatalf("a stream with a damaged end is opened as %v, %v", s, err)
	}
	for _, name := range []string{"good", "also good"} {
		if seq := mustAppend(t, openStream(t, l, name), "more"); seq != 21 {
			t.Errorf("%s goes on with %d, want 21", name, seq)
		}
	}
	if err := l.Remove(t.Context(), "bad"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustAppend(t, openStream(t, l, "bad"), "again")
		closeLog(t, l)
		l = openLog(t, disk)
	}
	wantStream(t, openStream(t, l, "bad"), "1..2: 1=again 2=again")
}
