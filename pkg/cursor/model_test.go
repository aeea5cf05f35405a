package cursor

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is a cursor as slow and plain as can be: it looks at everything each
// time.
type model struct {
	next uint64
	rows map[uint64]row
	// left are the deliveries of before a seek that are in flight still.
	left map[uint64]row
}

type row struct {
	lane       uint64
	attempt    int
	state      state
	due, after int64
}

func (m *model) floor() uint64 {
	floor := m.next
	for seq := range m.rows {
		floor = min(floor, seq)
	}
	return floor
}

func (m *model) count(s state) (n int) {
	for _, r := range m.rows {
		if r.state == s {
			n++
		}
	}
	return n
}

// inLane are the seqs of a lane, ascending.
func (m *model) inLane(lane uint64) (seqs []uint64) {
	for seq, r := range m.rows {
		if r.lane == lane {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

func (m *model) begin(lane uint64) bool {
	seq := m.next
	m.rows[seq] = row{lane: lane, state: waiting}
	m.next++
	if m.mayGo(seq) {
		m.rows[seq] = row{lane: lane}
		return true
	}
	return false
}

// mayGo: nothing of its lane goes first, and it is not in flight from before a
// seek.
func (m *model) mayGo(seq uint64) bool {
	r := m.rows[seq]
	if _, flies := m.left[seq]; flies {
		return false
	}
	if r.lane == NoLane {
		return true
	}
	for _, l := range m.left {
		if l.lane == r.lane {
			return false
		}
	}
	return m.inLane(r.lane)[0] == seq
}

// letGo lets those come that wait for nothing any more.
func (m *model) letGo() {
	for seq, r := range m.rows {
		if r.state == waiting && m.mayGo(seq) {
			r.state, r.due, r.after = parked, 0, 0
			m.rows[seq] = r
		}
	}
}

// seek forgets all but what flies.
func (m *model) seek(to uint64) (skipped, again uint64) {
	for seq := min(to, m.next); seq < max(to, m.next); seq++ {
		if _, unsettled := m.rows[seq]; seq >= m.next {
			skipped++
		} else if !unsettled {
			again++
		}
	}
	for seq, r := range m.rows {
		if seq < to {
			skipped++
		}
		if r.state == inFlight {
			m.left[seq] = r
		}
	}
	clear(m.rows)
	m.next = to
	return skipped, again
}

// nextDue is the seq that TakeDue gives next, if it is due.
func (m *model) nextDue() (seq uint64, due int64, ok bool) {
	for s, r := range m.rows {
		if r.state == parked && (!ok || r.due < due || r.due == due && s < seq) {
			seq, due, ok = s, r.due, true
		}
	}
	return seq, due, ok
}

func (m *model) takeDue(now int64) (seq uint64, attempt int, ok bool) {
	seq, due, ok := m.nextDue()
	if !ok || due > now {
		return 0, 0, false
	}
	r := m.rows[seq]
	r.state = inFlight
	m.rows[seq] = r
	return seq, r.attempt, true
}

// leave ends a delivery of before a seek.
func (m *model) leave(seq uint64) bool {
	_, ok := m.left[seq]
	delete(m.left, seq)
	m.letGo()
	return ok
}

// settle, park: false if seq is not in flight.
func (m *model) settle(seq uint64) bool {
	if m.leave(seq) {
		return true
	}
	r, ok := m.rows[seq]
	if !ok || r.state != inFlight {
		return false
	}
	delete(m.rows, seq)
	m.letGo()
	return true
}

func (m *model) park(seq uint64, attempts int, due, after int64) bool {
	if m.leave(seq) {
		return true
	}
	r, ok := m.rows[seq]
	if !ok || r.state != inFlight {
		return false
	}
	r.state, r.due, r.after = parked, due, after
	r.attempt += attempts
	m.rows[seq] = r
	return true
}

// restored is what a restart makes of the model: what was in flight comes back
// at once.
func (m *model) restored() {
	clear(m.left)
	m.letGo()
	for seq, r := range m.rows {
		if r.state == inFlight {
			m.park(seq, 0, 0, 0)
		}
	}
}

// compare says where the cursor differs from the model.
func (m *model) compare(c *Cursor) error {
	got := map[uint64]row{}
	last := uint64(0)
	for e := c.first; e != nil; e = e.next {
		if e.seq <= last || e.seq >= c.next || c.unsettled[e.seq] != e {
			return fmt.Errorf("BUG: invariant 4: the list has seq %d after %d, next %d", e.seq, last, c.next)
		}
		last = e.seq
		r := row{lane: e.lane, attempt: e.attempt, state: e.state}
		if e.state == parked {
			r.due, r.after = e.due, e.after
		}
		got[e.seq] = r
	}
	want := maps.Clone(m.rows)
	for seq, r := range want {
		if r.state != parked {
			r.due, r.after = 0, 0
			want[seq] = r
		}
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("unsettled are\n%v, want\n%v", got, want)
	}
	again := 0
	for _, rows := range []map[uint64]row{m.rows, m.left} {
		for _, r := range rows {
			if r.state == inFlight && r.attempt > 0 {
				again++
			}
		}
	}
	flying := m.count(inFlight) + len(m.left)
	if c.Again() != again {
		return fmt.Errorf("%d in flight were tried before, want %d", c.Again(), again)
	}
	dueSeq, due, ok := m.nextDue()
	gotDue, gotAttempt, gotOK := c.NextDue()
	switch {
	case c.Next() != m.next, c.Floor() != m.floor(), c.Unsettled() != len(m.rows),
		c.InFlight() != flying, c.Parked() != m.count(parked):
		return fmt.Errorf("next %d floor %d unsettled %d in flight %d parked %d, want %d %d %d %d %d",
			c.Next(), c.Floor(), c.Unsettled(), c.InFlight(), c.Parked(),
			m.next, m.floor(), len(m.rows), flying, m.count(parked))
	case gotOK != ok || ok && (gotDue != due || gotAttempt != m.rows[dueSeq].attempt):
		return fmt.Errorf("next due is %d, attempt %d, %v, want %d, %d, %v", gotDue, gotAttempt, gotOK, due, m.rows[dueSeq].attempt, ok)
	case c.Floor() > c.Next():
		return fmt.Errorf("BUG: invariant 4: floor %d above next %d", c.Floor(), c.Next())
	}
	return nil
}

// disk is what was saved.
type disk struct {
	next uint64
	rows map[uint64]Unsettled
}

func (d *disk) save(ch Changes) error {
	d.next = ch.Next
	for _, seq := range ch.Gone {
		if _, ok := d.rows[seq]; !ok {
			return fmt.Errorf("seq %d is gone but was never put", seq)
		}
		delete(d.rows, seq)
	}
	for _, u := range ch.Put {
		d.rows[u.Seq] = u
	}
	return nil
}

// drive runs a cursor beside its model, as ops say.
func drive(ops []byte) error {
	c := New(1)
	m := &model{1, map[uint64]row{}, map[uint64]row{}}
	d := &disk{rows: map[uint64]Unsettled{}}
	now := int64(0)
	for i := 0; i+1 < len(ops); i += 2 {
		op, arg := ops[i]%16, uint64(ops[i+1])
		seq := m.floor() + arg%16 // near the unsettled ones
		if err := step(c, m, op, arg, seq, &now); err != nil {
			return fmt.Errorf("op %d (%d, %d): %w", i/2, op, arg, err)
		}
		if op >= 14 {
			var err error
			if c, err = saveAndRestore(c, m, d, op == 15); err != nil {
				return fmt.Errorf("op %d (%d, %d): %w", i/2, op, arg, err)
			}
		}
		if err := m.compare(c); err != nil {
			return fmt.Errorf("op %d (%d, %d): %w", i/2, op, arg, err)
		}
	}
	return nil
}

func step(c *Cursor, m *model, op byte, arg, seq uint64, now *int64) error {
	inTime := func(name string, err error, ok bool) error {
		if errors.Is(err, ErrNotInFlight) == ok || (err == nil) != ok {
			return fmt.Errorf("%s %d: %v, want success %v", name, seq, err, ok)
		}
		return nil
	}
	switch op {
	case 0, 1, 2:
		lane := arg % 4 // 0 is NoLane
		if got, want := c.Begin(lane), m.begin(lane); got != want {
			return fmt.Errorf("begin in lane %d: %v, want %v", lane, got, want)
		}
	case 3:
		to := m.next - min(m.next, 2) + arg%5 // also backwards, which is nothing
		c.SkipTo(to)
		m.next = max(m.next, to)
	case 4, 5:
		*now += int64(arg % 8)
		seq1, attempt1, ok1 := c.TakeDue(*now)
		seq2, attempt2, ok2 := m.takeDue(*now)
		if seq1 != seq2 || attempt1 != attempt2 || ok1 != ok2 {
			return fmt.Errorf("take due: %d %d %v, want %d %d %v", seq1, attempt1, ok1, seq2, attempt2, ok2)
		}
	case 6, 7, 8:
		return inTime("settle", c.Settle(seq), m.settle(seq))
	case 9, 10:
		after := int64(arg%20) - 2
		return inTime("park", c.Park(seq, *now, after), m.park(seq, 1, *now+max(after, 0), max(after, 0)))
	case 11:
		return inTime("release", c.Release(seq), m.park(seq, 0, 0, 0))
	case 12:
		if arg%8 == 0 {
			c.ReleaseAll()
			m.restored()
		}
	case 13:
		to := max(1, m.next-min(m.next, arg%32)+arg/64) // rather back than forward
		if arg%4 > 0 {
			return nil // seeks are rare
		}
		skipped1, again1 := c.Seek(to)
		if skipped2, again2 := m.seek(to); skipped1 != skipped2 || again1 != again2 {
			return fmt.Errorf("seek to %d: skipped %d, again %d, want %d, %d", to, skipped1, again1, skipped2, again2)
		}
	}
	return nil
}

func saveAndRestore(c *Cursor, m *model, d *disk, restart bool) (*Cursor, error) {
	if !c.Changed() && (d.next != m.next || len(d.rows) != len(m.rows)) {
		return nil, fmt.Errorf("nothing has changed, but saved is %v", d)
	}
	if err := d.save(c.Changes()); err != nil {
		return nil, err
	}
	if c.Changed() {
		return nil, errors.New("changed right after Changes")
	}
	if !restart {
		return c, nil
	}
	m.restored()
	return Restore(d.next, slices.Collect(maps.Values(d.rows)))
}

func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	for i := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, i))
		ops := make([]byte, 2*rnd.IntN(400))
		for j := range ops {
			ops[j] = byte(rnd.Uint32())
		}
		if err := drive(ops); err != nil {
			t.Fatalf("seed %d, run %d: %v", seed, i, err)
		}
	}
}

func FuzzAgainstModel(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 0, 0, 10, 0, 14, 0, 6, 2, 15, 0, 4, 7, 6, 0})
	f.Add([]byte{0, 0, 0, 1, 14, 0, 13, 4, 0, 0, 0, 0, 0, 1, 14, 0, 6, 0, 4, 0, 15, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 600 { // the model takes quadratic time
			return
		}
		if err := drive(ops); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzRestore: whatever was saved gives an error or a cursor whose floor is not
// above its next.
func FuzzRestore(f *testing.F) {
	f.Add(uint64(5), uint64(1), uint64(2), uint64(1), uint64(1), int64(5), true)
	f.Add(uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), int64(math.MinInt64), true)
	f.Fuzz(func(t *testing.T, next, seq1, seq2, lane1, lane2 uint64, due int64, parked bool) {
		c, err := Restore(next, []Unsettled{
			{Seq: seq2, Lane: lane2, Due: due, After: due, Parked: parked}, {Seq: seq1, Lane: lane1, Due: due},
		})
		if (err == nil) != (seq1 < next && seq2 < next && seq1 != seq2) {
			t.Fatalf("next %d with %d and %d: %v", next, seq1, seq2, err)
		}
		if err == nil && (c.Floor() > c.Next() || c.Unsettled() != 2) {
			t.Fatalf("floor %d, next %d, unsettled %d", c.Floor(), c.Next(), c.Unsettled())
		}
	})
}

// A retry far away must not come back at once because the sum overflows.
func TestParkForever(t *testing.T) {
	for _, after := range []int64{math.MaxInt64, math.MaxInt64 - 5, 1 << 62} {
		c := New(1)
		c.Begin(NoLane)
		now := int64(1000)
		if err := c.Park(1, now, after); err != nil {
			t.Fatal(err)
		}
		const tenYears = 10 * 365 * 24 * 3600 * 1_000_000_000
		if _, _, ok := c.TakeDue(now + tenYears); ok {
			t.Errorf("parked for %d, it is due ten years later", after)
		}
	}
}

func TestNothingGrowsInSteadyState(t *testing.T) {
	for _, tt := range []struct {
		name string
		lane uint64
		save bool
	}{
		{"plain", NoLane, false}, {"ordered", 7, false}, {"plain, saved now and then", NoLane, true},
	} {
		c := New(1)
		n := 0
		one := func() {
			c.Begin(tt.lane)
			seq := c.Floor()
			if err := c.Park(seq, 0, 0); err != nil {
				t.Fatal(err)
			}
			if _, _, ok := c.TakeDue(0); !ok {
				t.Fatal("nothing is due")
			}
			if err := c.Settle(seq); err != nil {
				t.Fatal(err)
			}
			if n++; tt.save || n%64 == 0 {
				c.Changes()
			}
		}
		for range 1000 {
			one()
		}
		if got := testing.AllocsPerRun(1000, one); got > 0 {
			t.Errorf("%s: %v allocations per delivery", tt.name, got)
		}
		held := 0
		for e := c.free; e != nil; e = e.next {
			held++
		}
		if held > 100 || cap(c.dirty) > 300 || len(c.lanes) > 0 {
			t.Errorf("%s: holds %d free entries, %d dirty, %d lanes", tt.name, held, cap(c.dirty), len(c.lanes))
		}
	}
}
