package engine

import (
	"slices"
	"time"

	"lars.internal/route"
)

// Route is an answer or a push of a dns service.
type Route struct {
	Hosts     []route.Endpoint // each host once; none: the service has no hosts
	Settings  []route.Setting
	Version   uint64 // of the table of the dns service; 0: not known
	Stale     bool   // the table could not be confirmed lately
	Removed   bool   // there are no hosts because an edit made it so
	Truncated bool   // these are not all hosts
}

// Outcome is what became of a Route.
type Outcome struct {
	Unknown  bool // no program asks for the service any more: it was ignored
	Push     bool // no pull was under way
	Outdated bool // a stale table, older than the route that is known: it was ignored
	Emptied  bool // from now on the hosts are kept although the route has none
	Changed  bool // the route is another one than before

	Change // what changed
}

// Change is how the route of a service differs from the one before.
type Change struct {
	Key            route.Key
	Added, Removed []route.Host
	Altered        []route.Endpoint // with another weight or zone
	Resettled      bool             // the settings are others
	Version        uint64           // of the route that brought it; 0: not known
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
	next := route.Route{Hosts: r.Hosts, Settings: r.Settings}
	if o.Changed = !next.Equal(s.route); o.Changed {
		o.Change = e.setRoute(sh, s, next, now)
		o.Key, o.Version = key, r.Version
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
	hosts := route.HostsOf(s.route.Hosts)
	sh.drop(s)
	s.timeout = e.cfg.UpdateTimeout
	e.known.Add(-1)
	e.empty.Add(1)
	return hosts
}

// setRoute makes r, which has hosts, the route of the service and returns how it
// differs from the one before.
func (e *Engine) setRoute(sh *shard, s *service, r route.Route, now time.Duration) Change {
	c := Change{Resettled: !slices.Equal(r.Settings, s.route.Settings)}
	if c.Resettled {
		s.timeout = e.timeoutOf(r.Settings)
	}
	if s.balancer == nil {
		sh.empty.remove(s)
		s.balancer = e.cfg.NewBalancer(s.key, r.Settings, nil, now)
		s.account = sh.ledger.Open(s.key, nil, now)
		sh.known.insert(s)
		e.empty.Add(-1)
		e.known.Add(1)
	} else if c.Resettled {
		e.resettle(sh, s, r.Settings, now)
	}
	c.Added, c.Removed, c.Altered = compare(s.route.Hosts, r.Hosts)
	sh.ledger.Update(s.account, route.HostsOf(r.Hosts), now)
	s.balancer.Update(r.Hosts, now)
	sh.agenda.hurry(s)
	s.route = route.Route{Hosts: slices.Clone(r.Hosts), Settings: slices.Clone(r.Settings)}
	if len(c.Altered) > 0 {
		s.recount() // a host of weight 0 may have no state any more
	}
	return c
}

// timeoutOf returns the age at which the route of a service with these settings is
// pulled again.
func (e *Engine) timeoutOf(settings []route.Setting) time.Duration {
	if len(settings) == 0 || e.cfg.UpdateTimeoutOf == nil {
		return e.cfg.UpdateTimeout
	}
	return e.cfg.UpdateTimeoutOf(settings)
}

// resettle gives a service that has hosts the balancer for other settings. What
// another balancer than before has counted is kept.
func (e *Engine) resettle(sh *shard, s *service, settings []route.Setting, now time.Duration) {
	sh.takeEvents(s, now)
	before := s.balancer.Counters()
	b := e.cfg.NewBalancer(s.key, settings, s.balancer, now)
	sh.retired = sh.retired.Plus(before).Minus(b.Counters())
	if b == s.balancer {
		return
	}
	s.balancer = b
	s.recount()
}

// recount takes over from the balancer which hosts are ejected.
func (s *service) recount() {
	for _, e := range s.route.Hosts {
		s.account.SetOverload(e.Host, false)
	}
	for _, h := range s.balancer.Explain(nil) {
		s.account.SetOverload(h.Host, h.Ejected)
	}
}

// compare returns the hosts that only after has, those that only before has, and
// those of after that have another weight or zone in before.
func compare(before, after []route.Endpoint) (added, removed []route.Host, altered []route.Endpoint) {
	had := make(map[route.Host]route.Endpoint, len(before))
	for _, e := range before {
		had[e.Host] = e
	}
	for _, e := range after {
		switch was, ok := had[e.Host]; {
		case !ok:
			added = append(added, e.Host)
		case was != e:
			altered = append(altered, e)
		}
		delete(had, e.Host)
	}
	for _, e := range before {
		if _, gone := had[e.Host]; gone {
			removed = append(removed, e.Host)
		}
	}
	return added, removed, altered
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
