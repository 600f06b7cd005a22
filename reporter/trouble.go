package reporter

import (
	"log/slog"
	"maps"
	"time"

	"lars.internal/route"
)

const (
	// refuseFor is how long later rows of an id that the database refused are set
	// aside unasked. Each try costs the batch that it is in some twenty calls.
	refuseFor = 10 * time.Minute

	// maxRefused bounds the ids that are remembered, and maxNamed those that are
	// named in the log.
	maxRefused = 1000
	maxNamed   = 20
)

// sift halves a batch in which the database refuses a row, until the row is
// alone. Then it is set aside: to try it again would not help.
func (t *thread) sift(b batch, err error) {
	if half := len(b.entries) / 2; half > 0 {
		t.delay(batch{entries: b.entries[:half], tries: b.tries})
		t.delay(batch{entries: b.entries[half:], tries: b.tries})
		return
	}
	t.refused.add(b.entries[0].row, err, time.Now())
	t.settle(b.entries)
}

// postpone halves a batch of which another transaction holds a row, and puts
// both halves off, so that the others are not kept up for long.
func (t *thread) postpone(b batch, err error) {
	if b.tries == 0 {
		t.cfg.Log.Warn("reporter: another transaction holds a row; others are stored meanwhile, and these later",
			"rows", len(b.entries), "error", err)
	}
	due := time.Now().Add(t.pause(b.tries))
	if half := len(b.entries) / 2; half > 0 {
		t.delay(batch{b.entries[:half], due, b.tries + 1})
		b.entries = b.entries[half:]
	}
	t.delay(batch{b.entries, due, b.tries + 1})
}

// dropRefused settles the entries whose rows were refused lately and returns the
// others.
func (t *thread) dropRefused(taken []*entry, now time.Time) []*entry {
	if len(t.refused.until) == 0 {
		return taken
	}
	kept := taken[:0:0]
	var dropped []*entry
	for _, e := range taken {
		if t.refused.has(rowOf(&e.row), now) {
			dropped = append(dropped, e)
		} else {
			kept = append(kept, e)
		}
	}
	if len(dropped) > 0 {
		t.mu.Lock()
		t.backlog.rows(dropped) // as they are now, so that settle ends them
		t.mu.Unlock()
		t.count.refused.Add(float64(len(dropped)))
		t.settle(dropped)
	}
	return kept
}

// refusedRows remembers the rows that the database refused. It is not safe for
// concurrent use.
type refusedRows struct {
	count *counts
	log   *slog.Logger
	until map[rowID]time.Time // at most maxRefused
	named int
}

func newRefusedRows(count *counts, log *slog.Logger) *refusedRows {
	return &refusedRows{count: count, log: log, until: make(map[rowID]time.Time)}
}

// has reports whether a row of this id is to be set aside unasked.
func (r *refusedRows) has(id rowID, now time.Time) bool { return now.Before(r.until[id]) }

// add counts a row that was refused, and names it in the log the first time.
func (r *refusedRows) add(row route.CallStatus, err error, now time.Time) {
	r.count.refused.Inc()
	id := rowOf(&row)
	_, known := r.until[id]
	if !known && len(r.until) >= maxRefused {
		maps.DeleteFunc(r.until, func(_ rowID, until time.Time) bool { return !now.Before(until) })
	}
	if known || len(r.until) < maxRefused {
		r.until[id] = now.Add(refuseFor)
	}
	if known || r.named >= maxNamed {
		return
	}
	r.named++
	r.log.Warn("reporter: the database refuses a row, which is left out; its successors are counted in lars_reporter_rows_dropped_total",
		"service", row.Key, "host", row.Host, "caller", route.Host{IP: row.Caller}.AddrPort().Addr(), "error", err)
}
