package reporter

import "lars.internal/route"

// rowID is the primary key of the table ServerCallStatus.
type rowID struct {
	key    route.Key
	host   route.Host
	caller uint32
}

func rowOf(s *route.CallStatus) rowID { return rowID{s.Key, s.Host, s.Caller} }

// backlog holds the rows that are still to be stored, the newest of each, in
// the order in which the rows came to need it. It never holds more than limit.
// It is not safe for concurrent use.
//
// Invariant: waiting[first:] has no two rows of the same id, and the row of id
// stands at waiting[first + place[id] - gone].
type backlog struct {
	limit   int
	waiting []route.CallStatus
	first   int
	place   map[rowID]int // number of the row among all that ever came
	gone    int           // rows that came and have been removed
}

func newBacklog(limit int) *backlog {
	return &backlog{limit: limit, place: make(map[rowID]int)}
}

// outcome is what became of a row.
type outcome int

const (
	added  outcome = iota // it waits
	merged                // it met a row of the same id, and the newer of both waits
	full                  // there is no room for a further id: it is dropped
)

// put adds a row. Of two rows of one id and the same second, the one that comes
// later counts.
func (b *backlog) put(s route.CallStatus) outcome {
	id := rowOf(&s)
	if number, ok := b.place[id]; ok {
		if old := &b.waiting[b.first+number-b.gone]; s.Time >= old.Time {
			*old = s
		}
		return merged
	}
	if b.len() >= b.limit {
		return full
	}
	b.place[id] = b.gone + b.len()
	b.waiting = append(b.waiting, s)
	return added
}

func (b *backlog) len() int { return len(b.waiting) - b.first }

// head returns the rows that have waited longest, at most n. It shares the
// memory of the backlog and is valid until the next put or remove.
func (b *backlog) head(n int) []route.CallStatus {
	end := b.first + min(n, b.len())
	return b.waiting[b.first:end:end]
}

// remove takes away the n rows of head.
func (b *backlog) remove(n int) {
	rows := b.head(n)
	for i := range rows {
		delete(b.place, rowOf(&rows[i]))
	}
	b.first += len(rows)
	b.gone += len(rows)
	if b.first*2 >= len(b.waiting) {
		b.waiting = b.waiting[:copy(b.waiting, b.waiting[b.first:])]
		b.first = 0
	}
}
