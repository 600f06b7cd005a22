package reporter

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lars.internal/route"
)

// dumbRow is a row of the model.
type dumbRow struct {
	row     route.CallStatus
	owed    []*receipt
	covered int // of owed, by the copy that is out
	out     bool
	newer   bool
}

// dumbBacklog is the model: a plain list, in the order in which the rows wait,
// that is searched from its start.
type dumbBacklog struct{ rows []*dumbRow }

func (d *dumbBacklog) put(s route.CallStatus, r *receipt) (merged bool) {
	at := slices.IndexFunc(d.rows, func(e *dumbRow) bool { return rowOf(&e.row) == rowOf(&s) })
	if at < 0 {
		at = len(d.rows)
		d.rows = append(d.rows, &dumbRow{row: s})
	} else {
		merged = true
		if e := d.rows[at]; s.Time >= e.row.Time {
			e.row, e.newer = s, true
		}
	}
	if r == nil {
		return merged
	}
	e := d.rows[at]
	e.owed = append(e.owed, r)
	if len(e.owed) == 1 && !e.out { // it is of the other kind now, and the last of it
		d.rows = append(slices.Delete(d.rows, at, at+1), e)
	}
	return merged
}

func (d *dumbBacklog) take(n int) (taken []*dumbRow) {
	for _, e := range d.rows {
		if !e.out && len(taken) < n {
			e.out, e.newer, e.covered = true, false, len(e.owed)
			taken = append(taken, e)
		}
	}
	return taken
}

// settle returns how many receipts' rows it ended.
func (d *dumbBacklog) settle(taken []*dumbRow) (ended int) {
	for _, e := range taken {
		at := slices.Index(d.rows, e)
		d.rows = slices.Delete(d.rows, at, at+1)
		if !e.newer {
			ended += len(e.owed)
			continue
		}
		ended += e.covered
		d.rows = append(d.rows, &dumbRow{row: e.row, owed: e.owed[e.covered:]})
	}
	return ended
}

func (d *dumbBacklog) giveBack(taken []*dumbRow) {
	for _, e := range taken {
		e.out = false
	}
}

func (d *dumbBacklog) dropOldest() bool {
	at := slices.IndexFunc(d.rows, func(e *dumbRow) bool { return !e.out && len(e.owed) == 0 })
	if at >= 0 {
		d.rows = slices.Delete(d.rows, at, at+1)
	}
	return at >= 0
}

func (d *dumbBacklog) links() (n int) {
	for _, e := range d.rows {
		n += len(e.owed)
	}
	return n
}

// twoBacklogs does everything to a backlog and to its model.
type twoBacklogs struct {
	*backlog
	model    *dumbBacklog
	receipts []*receipt
	out      [][]*entry
	modelOut [][]*dumbRow
}

func TestBacklogEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &twoBacklogs{backlog: newBacklog(), model: new(dumbBacklog)}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 10).Draw(t, "kind") {
			case 0, 1:
				b.takeBoth(t, rapid.IntRange(0, 10).Draw(t, "take"))
			case 2, 3:
				b.settleBoth(t)
			case 4:
				b.giveBackBoth()
			case 5:
				if got, want := b.dropOldest(), b.model.dropOldest(); got != want {
					t.Fatalf("dropOldest returned %v, want %v", got, want)
				}
			default:
				b.putBoth(t)
			}
			b.check(t)
		}
		for len(b.out) > 0 {
			b.settleBoth(t)
		}
		b.takeBoth(t, b.waiting())
		b.settleBoth(t)
		for _, r := range b.receipts {
			if r.left != 0 {
				t.Fatalf("%d rows of a receipt are left in an empty backlog", r.left)
			}
		}
	})
}

func (b *twoBacklogs) putBoth(t *rapid.T) {
	s := drawStatus(t)
	var r *receipt
	if rapid.Bool().Draw(t, "owed") {
		r = new(receipt)
		b.receipts = append(b.receipts, r)
	}
	if got, want := b.put(s, r), b.model.put(s, r); got != want {
		t.Fatalf("put %+v: merged %v, want %v", s, got, want)
	}
}

func (b *twoBacklogs) takeBoth(t *rapid.T, n int) {
	taken, model := b.take(n), b.model.take(n)
	got, want := b.rows(taken), []route.CallStatus{}
	for _, e := range model {
		want = append(want, e.row)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("take (-want +got):\n%s", diff)
	}
	b.out, b.modelOut = append(b.out, taken), append(b.modelOut, model)
}

func (b *twoBacklogs) settleBoth(t *rapid.T) {
	if len(b.out) == 0 {
		return
	}
	at := rapid.IntRange(0, len(b.out)-1).Draw(t, "batch")
	before, open := b.links, b.open()
	settled := b.settle(b.out[at])
	ended := b.model.settle(b.modelOut[at])
	b.out, b.modelOut = slices.Delete(b.out, at, at+1), slices.Delete(b.modelOut, at, at+1)
	if before-b.links != ended || open-b.open() != len(settled) {
		t.Fatalf("settle ended %d rows of receipts and %d receipts, want %d and %d", before-b.links, len(settled), ended, open-b.open())
	}
}

// giveBackBoth gives back what was taken last, as a thread does.
func (b *twoBacklogs) giveBackBoth() {
	last := len(b.out) - 1
	if last < 0 {
		return
	}
	b.giveBack(b.out[last])
	b.model.giveBack(b.modelOut[last])
	b.out, b.modelOut = b.out[:last], b.modelOut[:last]
}

// open returns how many receipts have rows left.
func (b *twoBacklogs) open() (n int) {
	for _, r := range b.receipts {
		if r.left > 0 {
			n++
		}
	}
	return n
}

func (b *twoBacklogs) check(t *rapid.T) {
	if b.len() != len(b.model.rows) || b.links != b.model.links() {
		t.Fatalf("%d rows, %d links; want %d, %d", b.len(), b.links, len(b.model.rows), b.model.links())
	}
	waiting := 0
	for _, e := range b.model.rows {
		if got := b.entries[rowOf(&e.row)]; got == nil || got.row != e.row {
			t.Fatalf("entry %+v, want row %+v", got, e.row)
		}
		if !e.out {
			waiting++
		}
	}
	if b.waiting() != waiting {
		t.Fatalf("%d rows wait, want %d", b.waiting(), waiting)
	}
}

func drawStatus(t *rapid.T) route.CallStatus {
	return route.CallStatus{
		Key:    route.Key{Modid: int32(rapid.IntRange(0, 1).Draw(t, "modid"))},
		Host:   route.Host{IP: uint32(rapid.IntRange(1, 8).Draw(t, "ip")), Port: 1},
		Caller: uint32(rapid.IntRange(0, 1).Draw(t, "caller")),
		Succ:   uint32(rapid.IntRange(0, 1000).Draw(t, "succ")),
		Time:   int64(rapid.IntRange(0, 3).Draw(t, "time")),
	}
}
