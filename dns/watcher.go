package dns

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/internal/backoff"
	"lars.internal/internal/outage"
	"lars.internal/larspb"
	"lars.internal/route"
)

const (
	// maxBackoff bounds the pause between two looks at a store that fails.
	maxBackoff = time.Second

	// loadShare is what part of the time full loads may take at most: 1/20.
	loadShare = 20

	// hostsChunk is how many services one call of Store.Hosts is for, so that
	// QueryTimeout bounds a piece of work of about the same size.
	hostsChunk = 1000
)

// watcher keeps the table equal to the store. It looks for edits, and loads the services that changed; from time to time a goroutine beside it
// loads all, to find what was written without a change record.
//
// It alone replaces the table. The cursor moves only when all
// that changed up to it is in the table.
type watcher struct {
	// Immutable after newWatcher.
	svc     *Server
	cfg     *Config
	results chan loaded // capacity 1: its sender never waits

	// Owned by the watcher goroutine.
	cursor   route.Mark // all that was recorded up to it is in the table
	demand   string     // why only a full load can tell what changed; "": changes tell
	failures int        // looks at the store that failed in a row
	store    *outage.User
	reload   *outage.User
	accepted route.Acceptance       // what an operator has accepted since the last load
	cut      map[route.Key]struct{} // services whose route is over a frame
	changes  changeLog

	// The full loads.
	loading bool
	failed  bool                   // the last one
	started time.Time              // start of the last one
	ended   time.Time              // end of the last one
	cost    time.Duration          // of the last good one
	since   map[route.Key]struct{} // services that changes replaced while one runs

	counts watcherCounts
}

type watcherCounts struct {
	polls, pollErrors   prometheus.Counter
	loadErrors          prometheus.Counter
	fullTime, deltaTime prometheus.Histogram
	cut                 prometheus.Gauge
}

func newWatcher(s *Server) *watcher {
	return &watcher{
		svc:     s,
		cfg:     &s.cfg,
		results: make(chan loaded, 1),
		demand:  "nothing was loaded from the store yet",
		store:   outage.New(s.cfg.Log, "dns: store").User(),
		reload:  outage.New(s.cfg.Log, "dns: reload of all routes").User(),
		cut:     make(map[route.Key]struct{}),
		changes: newChangeLog(s.cfg.Log),
	}
}

// run watches until ctx is done, and returns nil.
func (w *watcher) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if w.loading {
				<-w.results // ctx stops it too
			}
			return nil
		case <-timer.C:
			w.look(ctx)
		case l := <-w.results:
			if ctx.Err() != nil {
				w.loading = false
				continue
			}
			w.take(ctx, l)
		}
		timer.Reset(w.pause())
	}
}

// pause returns the time until the next look: it doubles with each failure.
func (w *watcher) pause() time.Duration {
	poll := w.cfg.PollInterval
	return backoff.Policy{Min: poll, Max: max(poll, maxBackoff)}.After(w.failures)
}

// look brings in what changed, or starts a full load if one is due.
func (w *watcher) look(ctx context.Context) {
	if w.demand == "" {
		w.note(ctx, w.poll(ctx))
	}
	if w.loadIsDue(time.Now()) {
		w.startLoad(ctx)
	}
}

// note keeps the outcome of a look at the store.
func (w *watcher) note(ctx context.Context, err error) {
	if err == nil {
		w.failures = 0
		w.store.Worked()
		if w.demand == "" {
			w.svc.state.looked(nil)
		}
		return
	}
	if ctx.Err() != nil {
		return // Serve stopped it
	}
	w.failures++
	w.store.Failed(err)
	w.svc.state.looked(err)
}

// poll looks for edits and loads what they changed.
func (w *watcher) poll(ctx context.Context) error {
	w.counts.polls.Inc()
	err := w.step(ctx)
	if err != nil {
		w.counts.pollErrors.Inc()
	}
	return err
}

func (w *watcher) step(ctx context.Context) error {
	mark, err := w.mark(ctx)
	if err != nil || mark == w.cursor {
		return err
	}
	return w.advance(ctx, mark)
}

// advance brings in what was recorded up to a mark.
func (w *watcher) advance(ctx context.Context, mark route.Mark) error {
	start := time.Now()
	changes, err := w.changed(ctx, mark)
	if changes.Accepted.Version != 0 {
		w.accepted = changes.Accepted
		w.demandLoad("an operator has accepted the routes as they are stored")
	}
	if errors.Is(err, route.ErrHistoryGone) {
		w.demandLoad(err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	keys := changes.Keys
	routes := make(map[route.Key]route.Route, len(keys))
	for chunk := range slices.Chunk(keys, hostsChunk) {
		if err := w.routesOf(ctx, chunk, routes); err != nil {
			return err
		}
	}
	w.apply(mark, routes)
	w.counts.deltaTime.Observe(time.Since(start).Seconds())
	return nil
}

// apply puts services into the table and moves the cursor.
func (w *watcher) apply(mark route.Mark, routes map[route.Key]route.Route) {
	old := w.svc.routes.table.Load()
	table := old.With(mark.Version, routes)
	var changed []route.Key
	for key := range routes {
		if w.since != nil {
			w.since[key] = struct{}{}
		}
		if !old.Route(key).Equal(table.Route(key)) {
			changed = append(changed, key)
		}
		if len(table.Route(key).Hosts) == 0 && len(old.Route(key).Hosts) > 0 {
			w.svc.routes.removed.add(key) // it is on record, so an edit did it
		}
	}
	w.cursor = mark
	w.replace(table, changed)
}

// replace publishes a table that differs in the services of changed.
func (w *watcher) replace(table *route.Table, changed []route.Key) {
	old := w.svc.routes.table.Load()
	w.svc.publish(table, changed)
	now := time.Now()
	for _, key := range changed {
		if len(table.Route(key).Hosts) > 0 {
			w.svc.routes.removed.drop(key)
		}
		w.changes.note(key, old.Route(key), table.Route(key), table.Version(), now)
	}
	w.watchLengths(table, slices.Values(changed))
	if len(changed) > 0 {
		w.keep()
	}
}

func (w *watcher) keep() {
	w.svc.keeper.Changed()
}

// watchLengths names services whose route is over a frame, when they become
// so.
func (w *watcher) watchLengths(table *route.Table, keys iter.Seq[route.Key]) {
	for key := range keys {
		r := table.Route(key)
		_, known := w.cut[key]
		fit := w.svc.routes.answer(table, key, larspb.Level).Fitting(larspb.MaxBody)
		switch {
		case fit == len(r.Hosts):
			delete(w.cut, key)
		case !known:
			w.cut[key] = struct{}{}
			w.cfg.Log.Warn("dns: route is too long for one frame", "service", key, "hosts", len(r.Hosts), "sent", fit)
		}
	}
	w.counts.cut.Set(float64(len(w.cut)))
}

func (w *watcher) mark(ctx context.Context) (route.Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.QueryTimeout)
	defer cancel()
	return w.cfg.Store.Look(ctx)
}

func (w *watcher) changed(ctx context.Context, upTo route.Mark) (route.Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.QueryTimeout)
	defer cancel()
	return w.cfg.Store.Changed(ctx, w.cursor, upTo)
}

func (w *watcher) routesOf(ctx context.Context, keys []route.Key, into map[route.Key]route.Route) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.QueryTimeout)
	defer cancel()
	routes, err := w.cfg.Store.RoutesOf(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		into[key] = route.Route{} // also if the store leaves out what has no hosts
	}
	maps.Copy(into, routes)
	return nil
}
