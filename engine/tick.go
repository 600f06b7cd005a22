package engine

import (
	"time"

	"lars.internal/route"
)

// Due is what has become due by time alone.
type Due struct {
	Pulls   []route.Key // services whose routes are to be pulled now
	Changes []Change    // services whose hosts were kept against empty answers long enough
}

// Tick returns what is due; once a second is often enough. A service is pulled
// if it is NEW, its route is older than its update_timeout, and a program has
// asked for it or reported a call of it within UpdateTimeout or holds it. Services without
// hosts that no program uses are forgotten.
func (e *Engine) Tick(now time.Duration) Due {
	var due Due
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		e.tick(sh, now, &due)
		sh.mu.Unlock()
	}
	e.makeRoom()
	return due
}

func (e *Engine) tick(sh *shard, now time.Duration, due *Due) {
	for s := range sh.held {
		sh.touch(s, now)
	}
	due.Pulls = sh.known.pull(now, e.cfg.UpdateTimeout, due.Pulls)
	due.Pulls = sh.empty.pull(now, e.cfg.UpdateTimeout, due.Pulls)
	for s := sh.empty.first; s != nil && now-s.used > forgetAfter; s = sh.empty.first {
		e.forget(sh, s)
		sh.counters.Forgotten++
	}
	if sh.emptied > 0 {
		e.dropEmptied(sh, now, due)
	}
}

// pull appends the services of the list that were used within a time and whose
// routes are too old.
func (l *list) pull(now, within time.Duration, dst []route.Key) []route.Key {
	for s := l.last; s != nil && now-s.used <= within; s = s.prev {
		if s.state == StateNew && s.aged(now) {
			s.startPull(now)
			dst = append(dst, s.key)
		}
	}
	return dst
}

// dropEmptied takes the hosts away that were kept for long enough.
func (e *Engine) dropEmptied(sh *shard, now time.Duration, due *Due) {
	for s := sh.known.first; s != nil; {
		next := s.next
		if s.emptied != LongAgo && now-s.emptied >= e.cfg.KeepEmptied {
			due.Changes = append(due.Changes, Change{Key: s.key, Version: s.version, Removed: e.drop(sh, s)})
		}
		s = next
	}
}

// Hold notes that a program uses the service until Release, without asking for
// it each time, and reports whether the route has to be pulled now.
func (e *Engine) Hold(key route.Key, now time.Duration) (pull bool) {
	_, _, pull = e.Interest(key, now)
	e.hold(key, 1)
	return pull
}

// Release ends a Hold.
func (e *Engine) Release(key route.Key) { e.hold(key, -1) }

func (e *Engine) hold(key route.Key, by int32) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil {
		return
	}
	if s.holds = max(s.holds+by, 0); s.holds > 0 {
		sh.held[s] = true
	} else {
		delete(sh.held, s)
	}
}
