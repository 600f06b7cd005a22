package engine

import (
	"slices"
	"time"

	"lars.internal/route"
)

// Route is an answer or a push of a dns service.
type Route struct {
	Hosts     []route.Host // none: the service has no hosts
	Version   uint64       // of the table of the dns service; 0: not known
	Stale     bool         // the table could not be confirmed lately
	Removed   bool         // there are no hosts because an edit made it so
	Truncated bool         // these are not all hosts
}

// Outcome is what became of a Route.
type Outcome struct {
	Unknown  bool // no program asks for the service any more: it was ignored
	Push     bool // no pull was under way
	Outdated bool // a stale table, older than the route that is known: it was ignored
	Emptied  bool // from now on the hosts are kept although the route has none
	Changed  bool // the hosts are others than before

	Change // what changed
}

// Change is how the hosts of a service differ from those before.
type Change struct {
	Key            route.Key
	Added, Removed []route.Host
	Version        uint64 // of the route that brought it; 0: not known
}

// Update makes the hosts of the route those of the service. A route that turns
// empty leaves the service its hosts for a time, unless an edit made it so.
func (e *Engine) Update(key route.Key, r Route, now time.Duration) Outcome {
	o := e.take(key, r, now)
	e.makeRoom()
	return o
}

func (e *Engine) take(key route.Key, r Route, now time.Duration) Outcome {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil {
		return Outcome{Unknown: true}
	}
	o := Outcome{Push: s.state == StateNew, Change: Change{Key: key, Version: r.Version}}
	s.state, s.answered, s.stale = StateNew, now, r.Stale
	if r.Stale && r.Version != 0 && r.Version < s.version {
		sh.counters.Outdated++
		o.Outdated = true
		return o
	}
	s.version, s.truncated = r.Version, r.Truncated
	if len(r.Hosts) == 0 {
		e.takeEmpty(sh, s, r.Removed, now, &o)
		return o
	}
	sh.confirm(s)
	s.empty, s.updated = 0, now
	if o.Changed = !slices.Equal(r.Hosts, s.hosts); o.Changed {
		o.Added, o.Removed = e.setHosts(sh, s, r.Hosts, now)
	}
	return o
}

// takeEmpty takes an answer without hosts.
func (e *Engine) takeEmpty(sh *shard, s *service, removed bool, now time.Duration, o *Outcome) {
	s.empty = min(s.empty+1, maxEmpty)
	if s.balancer == nil {
		return
	}
	if !removed && e.cfg.KeepEmptied > 0 {
		if s.emptied == LongAgo {
			s.emptied = now
			sh.emptied++
			sh.counters.Emptied++
			o.Emptied = true
		}
		if now-s.emptied < e.cfg.KeepEmptied {
			return
		}
	}
	o.Changed, o.Removed = true, e.drop(sh, s)
}

// drop takes the hosts of a service away and returns them.
func (e *Engine) drop(sh *shard, s *service) []route.Host {
	hosts := s.hosts
	sh.drop(s)
	e.known.Add(-1)
	e.empty.Add(1)
	return hosts
}

// setHosts makes hosts those of the service and returns how they differ from
// those before.
func (e *Engine) setHosts(sh *shard, s *service, hosts []route.Host, now time.Duration) (added, removed []route.Host) {
	before := s.hosts
	if s.balancer == nil {
		sh.empty.remove(s)
		s.balancer = e.cfg.NewBalancer(s.key)
		s.account = sh.ledger.Open(s.key, nil)
		sh.known.insert(s)
		e.empty.Add(-1)
		e.known.Add(1)
	}
	for _, h := range hosts {
		if !s.account.Has(h) {
			added = append(added, h)
		}
	}
	sh.ledger.Update(s.account, hosts)
	for _, h := range before {
		if !s.account.Has(h) {
			removed = append(removed, h)
		}
	}
	s.balancer.Update(route.AppendEndpoints(nil, hosts), now)
	s.hosts = slices.Clone(hosts)
	return added, removed
}

// ConnectionStarted is the reset of a connection to a dns service that starts:
// every PULLING service becomes NEW, since its pull may have died with the old
// connection, and it is forgotten when each was pulled. It returns all
// services, the ones without hosts first; each is to be passed to Renew.
func (e *Engine) ConnectionStarted() []route.Key {
	var urgent, rest []route.Key
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		sh.gone = sh.gone[:0] // the new connection has no subscription to end
		urgent = sh.empty.reset(urgent)
		rest = sh.known.reset(rest)
		sh.mu.Unlock()
	}
	return append(urgent, rest...)
}

// reset makes the services NEW and appends them, the one used last first.
func (l *list) reset(dst []route.Key) []route.Key {
	for s := l.last; s != nil; s = s.prev {
		s.state, s.pulled = StateNew, LongAgo
		dst = append(dst, s.key)
	}
	return dst
}

// Renew turns the service to PULLING and reports whether it did: not if it was
// pulled since ConnectionStarted already or is gone.
func (e *Engine) Renew(key route.Key, now time.Duration) bool {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil || s.pulled != LongAgo {
		return false
	}
	s.startPull(now)
	return true
}

// PullFailed notes that a pull was not sent, so that the next request after a
// pause pulls again.
func (e *Engine) PullFailed(key route.Key) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.services[key]; s != nil {
		s.state = StateNew
	}
}
