package dns

import (
	"context"
	"slices"
	"time"

	"lars.internal/route"
)

// take brings in the result of a full load.
func (w *watcher) take(ctx context.Context, l loaded) {
	w.loading, w.failed, w.ended = false, l.err != nil, time.Now()
	w.svc.state.read(l.err)
	switch {
	case l.err != nil:
		w.loadFailed(l)
	case l.demanded:
		w.noteLoad(l)
		w.takeDemanded(l)
	default:
		w.noteLoad(l)
		w.takePeriodic(ctx, l)
	}
	w.since = nil
}

func (w *watcher) loadFailed(l loaded) {
	w.counts.loadErrors.Inc()
	if !l.demanded {
		w.reload.Failed(l.err)
		return
	}
	w.failures++
	w.store.Failed(l.err)
}

func (w *watcher) noteLoad(l loaded) {
	w.cost = l.cost
	w.counts.fullTime.Observe(l.cost.Seconds())
	w.reload.Worked()
}

// takeDemanded takes a load as the truth, with its version, unless it removes
// too much without a record.
func (w *watcher) takeDemanded(l loaded) {
	defer w.svc.state.looked(nil) // a load is as good as a look
	first := !w.svc.state.isFresh()
	accepted := w.cfg.covers(w.accepted, l.table) || w.cfg.covers(l.record.Accepted, l.table)
	w.cursor, w.demand, w.failures, w.accepted = l.mark, "", 0, route.Acceptance{}
	w.store.Worked()
	if l.changed == nil && w.svc.routes.table.Load() == nil {
		w.takeFirst(l)
	} else {
		recorded, rest := split(l.changed, l.record.Keys)
		w.bring(l, recorded, true)
		if !accepted && w.holdsBack(l, rest) {
			return
		}
		w.bring(l, rest, accepted)
	}
	w.released("all routes were loaded anew")
	w.svc.state.took()
	if first {
		w.keep() // also if nothing differs: the time does
		services, hosts := w.svc.routes.table.Load().Len()
		w.cfg.Log.Info("dns: routes loaded", "version", l.mark.Version, "services", services, "hosts", hosts,
			"took", l.cost.Round(time.Millisecond))
	}
}

// covers reports whether an acceptance was given for such a table. It was not for
// one that has lost too much since: an accident after the command is not what
// the operator has seen.
func (c *Config) covers(a route.Acceptance, table *route.Table) bool {
	_, hosts := table.Len()
	lost := loss{removed: int(a.Hosts) - hosts, of: int(a.Hosts)}
	return a.Version != 0 && !lost.tooMuch(c.MaxLoss)
}

// takeFirst takes a load where there was no table.
func (w *watcher) takeFirst(l loaded) {
	w.svc.publish(l.table, nil)
	w.watchLengths(l.table, func(yield func(route.Key) bool) {
		l.table.All(func(key route.Key, _ route.Route) bool { return yield(key) })
	})
}

// takePeriodic takes what a load found, unless that removes too much. What is on
// record it leaves to a look, which knows that an edit made it so, and under
// which version. Services that were replaced while it ran are
// left out: they may be newer than the load. The cursor stays where it is,
// because what is left out may be older than the load.
func (w *watcher) takePeriodic(ctx context.Context, l loaded) {
	rest := w.untouched(l.changed)
	if l.mark != w.cursor || w.lossOf(l, rest).tooMuch(w.cfg.MaxLoss) {
		// The load may have seen an edit already that no look has.
		err := w.poll(ctx)
		if w.note(ctx, err); err != nil {
			return
		}
		rest = w.untouched(rest)
	}
	// A load that was demanded meanwhile decides about all of it.
	if w.demand != "" || w.holdsBack(l, rest) {
		return
	}
	w.bring(l, rest, false)
	w.released("the rows are back, or were seen unchanged for [dns] accept_after")
	w.svc.state.took()
}

// untouched returns the services of a load that nothing has replaced while it
// ran.
func (w *watcher) untouched(keys []route.Key) []route.Key {
	return slices.DeleteFunc(keys, func(key route.Key) bool {
		_, ok := w.since[key]
		return ok
	})
}

// split returns the keys that are on record, and the others. Both arguments are
// in order.
func split(keys, record []route.Key) (recorded, rest []route.Key) {
	for _, key := range keys {
		if _, found := slices.BinarySearchFunc(record, key, route.Key.Compare); found {
			recorded = append(recorded, key)
		} else {
			rest = append(rest, key)
		}
	}
	return recorded, rest
}

// bring puts services into the table as a load found them. edited says that an
// edit made them so.
func (w *watcher) bring(l loaded, keys []route.Key, edited bool) {
	if len(keys) == 0 && w.cursor.Version == w.svc.routes.table.Load().Version() {
		return
	}
	changes := make(map[route.Key]route.Route, len(keys))
	for _, key := range keys {
		changes[key] = l.table.Route(key)
		if edited && len(changes[key].Hosts) == 0 {
			w.svc.routes.removed.add(key)
		}
	}
	w.replace(w.svc.routes.table.Load().With(w.cursor.Version, changes), keys)
}

func (w *watcher) lossOf(l loaded, keys []route.Key) loss {
	return lossOf(w.svc.routes.table.Load(), l.table, keys)
}

// holdsBack reports whether a load is not to be served, because it removes too
// much from services without an edit. A load that was seen like that for
// AcceptAfter is served.
func (w *watcher) holdsBack(l loaded, keys []route.Key) bool {
	lost := w.lossOf(l, keys)
	if !lost.tooMuch(w.cfg.MaxLoss) {
		return false
	}
	held := &heldBack{loss: lost, digest: digest(l.table, keys), since: time.Now()}
	before, _ := w.svc.state.holding()
	if before != nil && before.digest == held.digest {
		if held.since.Sub(before.since) >= w.cfg.AcceptAfter {
			return false
		}
		held.since = before.since
	}
	w.svc.state.hold(held)
	if before == nil || before.digest != held.digest {
		w.cfg.Log.Error("dns: a load is held back, because it removes hosts without change records; to take it: lars route accept",
			"removed", lost.removed, "of", lost.of, "services_emptied", lost.emptied, "of_services", lost.services,
			"taken_after", w.cfg.AcceptAfter.String())
	}
	return true
}

// released says that nothing is held back any more.
func (w *watcher) released(why string) {
	if held, _ := w.svc.state.holding(); held != nil {
		w.cfg.Log.Info("dns: no load is held back any more", "reason", why, "after", time.Since(held.since).Round(time.Second).String())
	}
}
