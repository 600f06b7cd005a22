package dns

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lars.internal/route"
)

// rowsPerGrace is how many rows of a load renew its deadline once.
const rowsPerGrace = 64

// loaded is the result of a full load.
type loaded struct {
	demanded bool // nothing else was read while it ran
	mark     route.Mark
	cost     time.Duration
	err      error

	// One of the two: the whole table if there was none, else the services
	// that differ from the table in use, with their hosts.
	table   *route.Table
	changes map[route.Key][]route.Host
}

// demandLoad stops the reading of changes until a full load is done.
func (w *watcher) demandLoad(why string) {
	w.demand = why
	w.cfg.Log.Debug("dns: all routes have to be loaded", "reason", why)
}

// loadIsDue paces full loads: a periodic one by ReloadInterval and loadShare,
// a demanded one by half of the time at most.
func (w *watcher) loadIsDue(now time.Time) bool {
	switch {
	case w.loading:
		return false
	case w.demand != "":
		return now.Sub(w.ended) >= w.cost
	}
	return now.Sub(w.started) >= max(w.cfg.ReloadInterval, loadShare*w.cost)
}

// startLoad loads all routes in a goroutine that ctx stops and run awaits.
func (w *watcher) startLoad(ctx context.Context) {
	w.loading, w.started = true, time.Now()
	demanded := w.demand != ""
	w.since = make(map[route.Key]struct{})
	go func() {
		start := time.Now()
		l := w.load(ctx)
		l.demanded, l.cost = demanded, time.Since(start)
		w.results <- l
	}()
}

// load reads all routes and compares them with the table, off the watcher
// goroutine. The table may be replaced meanwhile; what was replaced is in
// since by then.
func (w *watcher) load(ctx context.Context) loaded {
	services, mark, err := readAll(ctx, w.cfg.Store, w.cfg.QueryTimeout)
	if err != nil {
		return loaded{err: err}
	}
	table := route.NewTable(mark.Version, services)
	used := w.svc.routes.table.Load()
	if used == nil {
		return loaded{mark: mark, table: table}
	}
	changes := make(map[route.Key][]route.Host)
	for _, key := range route.Diff(used, table) {
		changes[key] = table.Hosts(key)
	}
	return loaded{mark: mark, changes: changes}
}

// readAll reads all routes. It gives up when no row comes for grace.
func readAll(ctx context.Context, store Store, grace time.Duration) (map[route.Key][]route.Host, route.Mark, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(grace, func() {
		cancel(fmt.Errorf("no row within %v: %w", grace, context.DeadlineExceeded))
	})
	defer patience.Stop()

	services := make(map[route.Key][]route.Host)
	rows := 0
	mark, err := store.Load(ctx, func(key route.Key, h route.Host) {
		services[key] = append(services[key], h)
		if rows++; rows%rowsPerGrace == 0 {
			patience.Reset(grace)
		}
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("load all routes: %w", context.Cause(ctx))
	}
	return services, mark, err
}

// take brings in the result of a full load.
func (w *watcher) take(l loaded) {
	since := w.since
	w.loading, w.since, w.ended = false, nil, time.Now()
	if l.err != nil {
		w.loadFailed(l)
		return
	}
	w.cost = l.cost
	w.counts.fullTime.Observe(l.cost.Seconds())
	w.reload.Worked()
	switch {
	case l.demanded:
		w.takeDemanded(l)
	case w.demand == "":
		w.takePeriodic(l, since)
	}
	// What was demanded while a periodic load ran is the next load's to tell.
}

func (w *watcher) loadFailed(l loaded) {
	w.counts.loadErrors.Inc()
	if !l.demanded {
		w.reload.Failed(l.err)
		return
	}
	w.failures++
	w.store.Failed(l.err)
	w.svc.blame(l.err)
}

// takeDemanded takes a load as the truth, with its version.
func (w *watcher) takeDemanded(l loaded) {
	first := !w.svc.isFresh()
	w.cursor, w.demand, w.failures = l.mark, "", 0
	w.store.Worked()
	if l.table != nil {
		w.svc.publish(l.table, nil)
		w.watchLengths(l.table, func(yield func(route.Key) bool) {
			l.table.All(func(key route.Key, _ []route.Host) bool { return yield(key) })
		})
	} else {
		w.replace(w.svc.routes.table.Load().With(l.mark.Version, l.changes), slices.Collect(maps.Keys(l.changes)))
	}
	w.svc.confirm()
	if first {
		w.keep() // also if nothing differs: the time does
		services, hosts := w.svc.routes.table.Load().Len()
		w.cfg.Log.Info("dns: routes loaded", "version", l.mark.Version, "services", services, "hosts", hosts,
			"took", l.cost.Round(time.Millisecond))
	}
}

// takePeriodic takes what a load found. Services that were replaced while it
// ran are left out: they may be newer than the load. The cursor stays: the
// load may be newer than it, but it is not so for what is left out.
func (w *watcher) takePeriodic(l loaded, since map[route.Key]struct{}) {
	for key := range since {
		delete(l.changes, key)
	}
	if len(l.changes) > 0 {
		w.replace(w.svc.routes.table.Load().With(w.cursor.Version, l.changes), slices.Collect(maps.Keys(l.changes)))
	}
}
