package reporter

import (
	"container/list"
	"slices"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// rowID is the primary key of the table ServerCallStatus.
type rowID struct {
	key    route.Key
	host   route.Host
	caller uint32
}

func rowOf(s *route.CallStatus) rowID { return rowID{s.Key, s.Host, s.Caller} }

// receipt is what an agent gets for a report once all of its rows are settled.
type receipt struct {
	conn *reactor.Conn
	ack  larspb.Ack
	left int // rows that are not settled; kept by the backlog
}

// entry is a row that is still to be stored. Owned by the backlog.
type entry struct {
	row     route.CallStatus // the newest
	owed    []*receipt       // of the reports that it stands for, in the order of their arrival
	covered int              // owed[:covered] are settled when the copy that was taken is
	newer   bool             // row is newer than that copy; of no meaning before one is taken
	age     uint64           // when it came to wait, as a number; of entries that were given back, about
	place   *list.Element    // in owed or unowed of the backlog; nil while a copy of it is out
}

// backlog holds the rows that are still to be stored, the newest of each, in
// the order in which the rows came to need it. Rows of a report that is to be
// acknowledged stay until they are settled; others make room for newer ones. It
// is not safe for concurrent use.
//
// Invariant: an entry is out, or in the one of the lists that it belongs to.
type backlog struct {
	entries map[rowID]*entry
	owed    list.List // of *entry, those with receipts
	unowed  list.List // of *entry, those without
	links   int       // receipts of all entries, counted once for each row
	came    uint64
}

func newBacklog() *backlog { return &backlog{entries: make(map[rowID]*entry)} }

// has reports whether a row of the same id is held.
func (b *backlog) has(s *route.CallStatus) bool { return b.entries[rowOf(s)] != nil }

// len returns the number of rows that are not settled.
func (b *backlog) len() int { return len(b.entries) }

// waiting returns how many of them are not out.
func (b *backlog) waiting() int { return b.owed.Len() + b.unowed.Len() }

// put adds a row of the report that r is for, nil for a report that is not
// acknowledged. It reports whether the row met one of the same id: then the newer of both
// counts, and of two of the same second the one that comes later.
func (b *backlog) put(s route.CallStatus, r *receipt) (merged bool) {
	id := rowOf(&s)
	e, merged := b.entries[id]
	if !merged {
		e = &entry{row: s}
		b.entries[id] = e
		b.await(e)
	} else if s.Time >= e.row.Time {
		e.row, e.newer = s, true
	}
	if r != nil {
		b.owe(e, r)
	}
	return merged
}

func (b *backlog) owe(e *entry, r *receipt) {
	e.owed = append(e.owed, r)
	r.left++
	b.links++
	if len(e.owed) == 1 && e.place != nil {
		b.unowed.Remove(e.place)
		b.await(e)
	}
}

// await puts an entry to the end of those that wait.
func (b *backlog) await(e *entry) {
	b.came++
	e.age = b.came
	if len(e.owed) > 0 {
		e.place = b.owed.PushBack(e)
	} else {
		e.place = b.unowed.PushBack(e)
	}
}

// take returns the entries that have waited longest, at most n. They are out
// until they are settled.
func (b *backlog) take(n int) []*entry {
	n = min(n, b.waiting())
	taken := make([]*entry, 0, n)
	for len(taken) < n {
		taken = append(taken, b.takeOldest())
	}
	return taken
}

func (b *backlog) takeOldest() *entry {
	from := &b.owed
	first, second := b.owed.Front(), b.unowed.Front()
	if first == nil || second != nil && second.Value.(*entry).age < first.Value.(*entry).age {
		from, first = &b.unowed, second
	}
	e := from.Remove(first).(*entry)
	e.place = nil
	return e
}

// rows returns copies of the rows of entries that are out, which is what settle
// settles.
func (b *backlog) rows(taken []*entry) []route.CallStatus {
	rows := make([]route.CallStatus, len(taken))
	for i, e := range taken {
		rows[i], e.covered, e.newer = e.row, len(e.owed), false
	}
	return rows
}

// settle ends what was taken: the last copies that rows returned are stored, or
// never will be. It returns the receipts of which these were the last rows. A
// row that has become newer meanwhile waits again.
func (b *backlog) settle(taken []*entry) (settled []*receipt) {
	for _, e := range taken {
		if !e.newer {
			e.covered = len(e.owed) // what came since was older than the copy
		}
		for _, r := range e.owed[:e.covered] {
			if r.left--; r.left == 0 {
				settled = append(settled, r)
			}
		}
		b.links -= e.covered
		e.owed, e.covered = e.owed[e.covered:], 0
		if !e.newer {
			delete(b.entries, rowOf(&e.row))
			continue
		}
		e.newer = false
		b.await(e)
	}
	return settled
}

// giveBack makes entries wait again that were taken, as the oldest.
func (b *backlog) giveBack(taken []*entry) {
	for _, e := range slices.Backward(taken) {
		if len(e.owed) > 0 {
			e.place = b.owed.PushFront(e)
		} else {
			e.place = b.unowed.PushFront(e)
		}
	}
}

// dropOldest makes room by the row without receipts that has waited longest. It
// reports whether there was one.
func (b *backlog) dropOldest() bool {
	first := b.unowed.Front()
	if first == nil {
		return false
	}
	e := b.unowed.Remove(first).(*entry)
	delete(b.entries, rowOf(&e.row))
	return true
}
