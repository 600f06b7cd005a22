package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lars.internal/route"
)

const (
	// rowsPerGrace is how many rows of a load renew its deadline once.
	rowsPerGrace = 64

	// retryLoad is how long to wait after a load that failed.
	retryLoad = time.Second
)

// loaded is the result of a full load.
type loaded struct {
	demanded bool // nothing else was read while it ran
	mark     route.Mark
	cost     time.Duration
	err      error

	table   *route.Table
	changed []route.Key   // services that differ from the table in use, in order; nil without one
	record  route.Changes // what is on record since the table in use; only if demanded
}

// demandLoad stops the reading of changes until a full load is done.
func (w *watcher) demandLoad(why string) {
	w.demand = why
	w.cfg.Log.Debug("dns: all routes have to be loaded", "reason", why)
}

// loadIsDue paces full loads. A periodic one follows ReloadInterval and
// loadShare. A demanded one, and one after a failure, takes at most half of
// the time; the latter also waits for retryLoad.
func (w *watcher) loadIsDue(now time.Time) bool {
	switch {
	case w.loading:
		return false
	case w.demand != "":
		return now.Sub(w.ended) >= w.cost
	case w.failed:
		return now.Sub(w.ended) >= max(w.cost, min(retryLoad, w.cfg.ReloadInterval))
	}
	return now.Sub(w.started) >= max(w.cfg.ReloadInterval, loadShare*w.cost)
}

// startLoad loads all routes in a goroutine that ctx stops and run awaits.
func (w *watcher) startLoad(ctx context.Context) {
	w.loading, w.started = true, time.Now()
	demanded, cursor := w.demand != "", w.cursor
	w.since = make(map[route.Key]struct{})
	go func() {
		start := time.Now()
		l := w.load(ctx)
		if demanded && l.err == nil && l.changed != nil {
			l.record, l.err = w.recordOf(ctx, cursor, l.mark)
		}
		l.demanded, l.cost = demanded, time.Since(start)
		w.results <- l
	}()
}

// load reads all routes and compares them with the table, off the watcher
// goroutine. The table may be replaced meanwhile; since then has the services
// that were replaced.
func (w *watcher) load(ctx context.Context) loaded {
	table, mark, err := readAll(ctx, w.cfg.Store, w.cfg.QueryTimeout)
	if err != nil {
		return loaded{err: err}
	}
	l := loaded{mark: mark, table: table}
	if used := w.svc.routes.table.Load(); used != nil {
		l.changed = route.Diff(used, l.table)
	}
	return l
}

// recordOf returns what is on record since the table in use, or a part of it.
// Without a cursor the table is a snapshot, of which the version alone is known.
func (w *watcher) recordOf(ctx context.Context, cursor, mark route.Mark) (route.Changes, error) {
	if cursor == (route.Mark{}) {
		cursor = mark
		cursor.Version = w.svc.routes.table.Load().Version()
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.QueryTimeout)
	defer cancel()
	changes, err := w.cfg.Store.Changed(ctx, cursor, mark)
	if errors.Is(err, route.ErrHistoryGone) {
		err = nil
	}
	return changes, err
}

// readAll reads all routes. It gives up when no row comes for grace.
func readAll(ctx context.Context, store Store, grace time.Duration) (*route.Table, route.Mark, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(grace, func() {
		cancel(fmt.Errorf("no row within %v: %w", grace, context.DeadlineExceeded))
	})
	defer deadline.Stop()

	var services route.Builder
	into, rows := services.Sink(), 0
	into.Row = func() {
		if rows++; rows%rowsPerGrace == 0 {
			deadline.Reset(grace)
		}
	}
	mark, err := store.Load(ctx, into)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("load all routes: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, route.Mark{}, err
	}
	return services.Table(mark.Version), mark, nil
}
