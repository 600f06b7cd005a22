package engine

import (
	"time"

	"lars.internal/route"
)

// makeRoom forgets services until there are no more than allowed, each time the
// one of its kind that was used the longest ago.
func (e *Engine) makeRoom() {
	if e.known.Load() <= int64(e.cfg.MaxServices) && e.empty.Load() <= e.maxEmpty {
		return
	}
	e.evicting.Lock()
	defer e.evicting.Unlock()
	for e.empty.Load() > e.maxEmpty {
		e.evict(func(sh *shard) *list { return &sh.empty })
	}
	for e.known.Load() > int64(e.cfg.MaxServices) {
		e.evict(func(sh *shard) *list { return &sh.known })
	}
}

// evict forgets the first service of one list of the shards. Each shard knows its
// own; the locks are held one after the other.
func (e *Engine) evict(of func(*shard) *list) {
	var oldest *shard
	var at time.Duration
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		if s := of(sh).first; s != nil && (oldest == nil || s.used < at) {
			oldest, at = sh, s.used
		}
		sh.mu.Unlock()
	}
	if oldest == nil {
		return
	}
	oldest.mu.Lock()
	defer oldest.mu.Unlock()
	if s := of(oldest).first; s != nil {
		e.forget(oldest, s)
		oldest.counters.Evicted++
	}
}

// forget forgets a service of a shard whose lock is held.
func (e *Engine) forget(sh *shard, s *service) {
	if s.balancer == nil {
		e.empty.Add(-1)
	} else {
		e.known.Add(-1)
	}
	sh.forget(s)
}

// TakeGone appends the services that were forgotten and that no program has
// asked for since. The dns service need push them no more. A pull that is sent
// after the call subscribes again.
func (e *Engine) TakeGone(dst []route.Key) []route.Key {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for _, key := range sh.gone {
			if sh.services[key] == nil {
				dst = append(dst, key)
			}
		}
		sh.gone = sh.gone[:0]
		sh.mu.Unlock()
	}
	return dst
}
