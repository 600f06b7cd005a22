package agent

import (
	"slices"
	"sync/atomic"
	"time"

	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// shardCount makes it unlikely that two ports want the same lock, and keeps
// each lock short for who walks over all services.
const shardCount = 64

// routes is the route map: what the agent knows of every service. It is a
// state machine without I/O and log; now is monotonic and handed in. Safe for
// concurrent use.
type routes struct {
	// Immutable after newRoutes.
	newBalancer   func() lb.Balancer
	updateTimeout time.Duration
	max           int64 // services

	count  atomic.Int64 // services in the shards, and those about to be added
	shards [shardCount]shard
}

// newRoutes returns an empty map. It fails for a policy or a configuration
// that package lb does not take.
func newRoutes(cfg *Config) (*routes, error) {
	if _, err := lb.New(cfg.Policy, cfg.Balance); err != nil {
		return nil, err
	}
	r := &routes{
		updateTimeout: cfg.UpdateTimeout,
		max:           int64(cfg.MaxServices),
		newBalancer: func() lb.Balancer {
			b, _ := lb.New(cfg.Policy, cfg.Balance) // was tried above
			return b
		},
	}
	for i := range r.shards {
		r.shards[i].services = make(map[route.Key]*service)
		r.shards[i].asked.which = byAsked
		r.shards[i].dirty.which = byReport
	}
	return r, nil
}

func (r *routes) shardOf(key route.Key) *shard {
	return &r.shards[key.Hash()%shardCount]
}

// pick chooses the host of the next call. pull says that the route has to be
// pulled now.
func (r *routes) pick(key route.Key, now time.Duration) (host route.Host, code larspb.RetCode, pull bool) {
	sh := r.shardOf(key)
	sh.mu.Lock()
	s := sh.services[key]
	if s == nil {
		sh.counters.noHosts++
		sh.mu.Unlock()
		return route.Host{}, larspb.RetCode_RET_NOEXIST, r.create(key, now)
	}
	sh.touch(s, now)
	host, code = s.pick(now)
	switch code {
	case larspb.RetCode_RET_SUCC:
		sh.counters.picks++
	case larspb.RetCode_RET_OVERLOAD:
		sh.counters.overloaded++
	default:
		sh.counters.noHosts++
	}
	pull = s.pull(now, r.updateTimeout)
	sh.mu.Unlock()
	return host, code, pull
}

// hosts returns all hosts of a service, which the caller must not change, whether
// the dns service had to leave some out, and whether the route has to be pulled
// now.
func (r *routes) hosts(key route.Key, now time.Duration) (hosts []route.Host, cut, pull bool) {
	sh := r.shardOf(key)
	sh.mu.Lock()
	sh.counters.routes++
	s := sh.services[key]
	if s == nil {
		sh.mu.Unlock()
		return nil, false, r.create(key, now)
	}
	sh.touch(s, now)
	hosts, cut, pull = s.hosts, s.cut, s.pull(now, r.updateTimeout)
	sh.mu.Unlock()
	return hosts, cut, pull
}

// report takes the result of a call and tells what it did to the host.
func (r *routes) report(key route.Key, host route.Host, ok bool, now time.Duration) lb.Change {
	sh := r.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.counters.reports++
	s := sh.services[key]
	if s == nil || s.balancer == nil {
		sh.counters.reportsUnknown++
		return lb.Unknown
	}
	change := s.balancer.Report(host, ok, now)
	switch change {
	case lb.Unknown:
		sh.counters.reportsUnknown++
		return lb.Unknown
	case lb.Ejected:
		sh.counters.ejected++
	case lb.Reinstated:
		sh.counters.reinstated++
	}
	sh.markDirty(s)
	return change
}

// create adds a service whose route is being pulled, and tells whether it did:
// another port may have been faster.
func (r *routes) create(key route.Key, now time.Duration) bool {
	s := newService(key, now)
	s.startPull(now)
	return r.insert(s)
}

// insert adds a service and makes room for it first, so that there are never
// more than max.
func (r *routes) insert(s *service) bool {
	for r.count.Add(1) > r.max {
		r.count.Add(-1)
		r.evict()
	}
	sh := r.shardOf(s.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.services[s.key] != nil {
		r.count.Add(-1)
		return false
	}
	sh.add(s)
	return true
}

// evict forgets the service that was asked for the longest ago, if there is
// one. Each shard knows its own; the locks are held one after the other.
func (r *routes) evict() {
	var oldest *shard
	var at time.Duration
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		if s := sh.asked.first; s != nil && (oldest == nil || s.asked < at) {
			oldest, at = sh, s.asked
		}
		sh.mu.Unlock()
	}
	if oldest == nil {
		return
	}
	oldest.mu.Lock()
	defer oldest.mu.Unlock()
	if s := oldest.asked.first; s != nil {
		oldest.remove(s)
		oldest.counters.evicted++
		r.count.Add(-1)
	}
}

// outcome is what became of an answer or a push of a dns service.
type outcome struct {
	unknown bool // nobody asks for the service any more: it was ignored
	push    bool // no pull was under way
	changed bool // the hosts are others than before
}

// update makes hosts the hosts of the service; none means that it has none. cut
// says that these are not all.
func (r *routes) update(key route.Key, hosts []route.Host, cut bool, now time.Duration) outcome {
	sh := r.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil {
		return outcome{unknown: true}
	}
	o := outcome{push: s.state == stateNew, changed: !slices.Equal(hosts, s.hosts)}
	s.state, s.cut = stateNew, cut
	if len(hosts) == 0 {
		sh.depart(s)
		s.emptied()
		return o
	}
	s.empty, s.updated = 0, now
	if o.changed {
		before := s.dropped()
		r.setHosts(s, hosts, now)
		sh.counters.lostResults += s.dropped() - before
	}
	return o
}

func (r *routes) setHosts(s *service, hosts []route.Host, now time.Duration) {
	if s.balancer == nil {
		s.balancer = r.newBalancer()
	}
	s.balancer.Update(hosts, now)
	s.hosts = slices.Clone(hosts)
}

// restore adds a service with the hosts that it had before the agent started.
func (r *routes) restore(key route.Key, hosts []route.Host, updated, now time.Duration) {
	s := newService(key, longAgo)
	s.updated = updated
	r.setHosts(s, hosts, now)
	r.insert(s)
}

// full tells whether one more service would cost another one.
func (r *routes) full() bool { return r.count.Load() >= r.max }

// known tells whether any service has hosts.
func (r *routes) known() bool {
	found := false
	r.each(func(_ *shard, s *service) { found = found || s.balancer != nil })
	return found
}

// pullFailed takes note that a pull was not sent, so that the next request
// after a pause pulls again.
func (r *routes) pullFailed(key route.Key) {
	sh := r.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.services[key]; s != nil {
		s.state = stateNew
	}
}

// reset turns every PULLING service to NEW, since its pull may have died with
// an old connection, forgets when each was pulled, and returns all, the ones
// without hosts first.
func (r *routes) reset() []route.Key {
	var urgent, rest []route.Key
	r.each(func(_ *shard, s *service) {
		s.state, s.pulled = stateNew, longAgo
		if s.balancer == nil {
			urgent = append(urgent, s.key)
		} else {
			rest = append(rest, s.key)
		}
	})
	return append(urgent, rest...)
}

// renew turns the service to PULLING, and tells so, unless it was pulled since
// the reset already or is gone.
func (r *routes) renew(key route.Key, now time.Duration) bool {
	sh := r.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil || s.pulled != longAgo {
		return false
	}
	s.startPull(now)
	return true
}

// remind puts every service that was reported at or after a moment in line
// again.
func (r *routes) remind(since time.Duration) {
	r.each(func(sh *shard, s *service) {
		if s.balancer != nil && s.reported >= since {
			sh.markDirty(s)
		}
	})
}

// each calls f for each service, under the lock of its shard.
func (r *routes) each(f func(*shard, *service)) {
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		for s := sh.asked.last; s != nil; s = s.links[byAsked].prev {
			f(sh, s)
		}
		sh.mu.Unlock()
	}
}

// table returns the hosts of all services. The slices are not to be changed.
func (r *routes) table() map[route.Key][]route.Host {
	services := make(map[route.Key][]route.Host)
	r.each(func(_ *shard, s *service) {
		if s.balancer != nil {
			services[s.key] = s.hosts
		}
	})
	return services
}

// totals returns the counters of all shards together.
func (r *routes) totals() counters {
	var sum counters
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		sum.add(&sh.counters)
		sh.mu.Unlock()
	}
	return sum
}
