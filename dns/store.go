package dns

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"lars.internal/route"
)

// Store is where routes come from. It is called from two goroutines at a time.
type Store interface {
	// Look returns a mark of the record of edits. Another mark than before
	// means that something was recorded.
	Look(ctx context.Context) (route.Mark, error)

	// Load hands each host and each setting of each service to a sink, in any
	// order, and returns the mark of the state that it read. It calls nothing
	// after it has returned.
	Load(ctx context.Context, into route.Sink) (route.Mark, error)

	// Changed returns what was recorded after one mark, up to another. If it
	// may miss any service it fails with route.ErrHistoryGone, and returns
	// those that are on record.
	Changed(ctx context.Context, after, upTo route.Mark) (route.Changes, error)

	// RoutesOf returns the present routes of services: at least as new as the
	// mark that was read last.
	RoutesOf(ctx context.Context, keys []route.Key) (map[route.Key]route.Route, error)
}

// maxNamedRows bounds the rows that BadRows remembers.
const maxNamedRows = 1000

// BadRows names each row that a store had to skip in the log, once, and counts
// how often that happened. Of more than 1,000 rows it only counts the rest.
// Safe for concurrent use.
type BadRows struct {
	// Immutable after NewBadRows.
	log *slog.Logger

	reads atomic.Uint64

	mu    sync.Mutex          // guards everything below
	named map[string]struct{} // by table and id
}

// NewBadRows returns a counter that writes to log; nil discards the lines.
func NewBadRows(log *slog.Logger) *BadRows {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &BadRows{log: log, named: make(map[string]struct{})}
}

// Report takes note of a row of a table that was read and skipped for a reason.
func (b *BadRows) Report(table, id, reason string) {
	b.reads.Add(1)
	if b.isNew(table + " " + id) {
		b.log.Warn("dns: row of "+table+" skipped", "id", id, "reason", reason)
	}
}

func (b *BadRows) isNew(row string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.named[row]; ok || len(b.named) >= maxNamedRows {
		return false
	}
	b.named[row] = struct{}{}
	return true
}
