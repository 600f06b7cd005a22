package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// Parts is the number of parts that the services are split into: enough that
// two requests at a time hardly ever want the same lock, and each lock is short
// for a walk over all services.
const Parts = 64

// Config describes an engine.
type Config struct {
	// NewBalancer returns the balancer of a service, without hosts. It must be
	// safe for concurrent use.
	NewBalancer func(key route.Key) lb.Balancer

	// UpdateTimeout is the age at which a route is pulled again.
	UpdateTimeout time.Duration

	// MaxServices is how many services are kept, the ones without hosts
	// included.
	MaxServices int
}

// Engine is the services of a machine. Make it with New. All methods are safe
// for concurrent use.
type Engine struct {
	cfg Config // immutable after New

	count  atomic.Int64 // services in the shards, and those about to be added
	shards [Parts]shard

	mu      sync.Mutex         // guards everything below; taken without the lock of a shard
	number  uint64             // of the last message
	flights map[uint64]*flight // reports in flight by the number of a message
}

// New returns an engine without services.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, flights: make(map[uint64]*flight)}
	for i := range e.shards {
		e.shards[i].services = make(map[route.Key]*service)
	}
	return e
}

// UpdateTimeout returns the age at which a route is pulled again.
func (e *Engine) UpdateTimeout() time.Duration { return e.cfg.UpdateTimeout }

func (e *Engine) shardOf(key route.Key) *shard { return &e.shards[key.Hash()%Parts] }

// Pick chooses the host of the next call, another one than avoid if it can.
// pull says that the route has to be pulled now.
func (e *Engine) Pick(key route.Key, avoid route.Host, now time.Duration) (host route.Host, ticket lb.Ticket, verdict lb.Verdict, pull bool) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	s := sh.services[key]
	if s == nil {
		sh.counters.NoHosts++
		sh.mu.Unlock()
		return route.Host{}, 0, lb.NoHosts, e.create(key, now)
	}
	sh.touch(s, now)
	verdict = lb.NoHosts
	if s.balancer != nil {
		host, ticket, verdict = s.balancer.Pick(now, avoid)
	}
	switch verdict {
	case lb.Picked:
		sh.counters.Picks++
	case lb.Overloaded:
		sh.counters.Overloaded++
	default:
		sh.counters.NoHosts++
	}
	pull = s.pull(now, e.cfg.UpdateTimeout)
	sh.mu.Unlock()
	return host, ticket, verdict, pull
}

// Interest returns all hosts of a service, which the caller must not change, for
// a program that asks for them; whether the dns service had to leave some out;
// and whether the route has to be pulled now.
func (e *Engine) Interest(key route.Key, now time.Duration) (hosts []route.Host, truncated, pull bool) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	sh.counters.Interests++
	s := sh.services[key]
	if s == nil {
		sh.mu.Unlock()
		return nil, false, e.create(key, now)
	}
	sh.touch(s, now)
	hosts, truncated, pull = s.hosts, s.truncated, s.pull(now, e.cfg.UpdateTimeout)
	sh.mu.Unlock()
	return hosts, truncated, pull
}

// Observe takes the outcome of calls. With Changed in the effect, TakeEvents has
// something new.
func (e *Engine) Observe(key route.Key, host route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	calls := uint64(o.OK) + uint64(o.Failed)
	sh.counters.Reports += calls
	var effect lb.Effect
	if s := sh.services[key]; s != nil && s.balancer != nil {
		effect = sh.observe(s, host, o, now)
	}
	if effect&lb.Counted == 0 {
		sh.counters.ReportsUnknown += calls
	}
	return effect
}

// TakeEvents appends the events that were not taken yet.
func (e *Engine) TakeEvents(dst []Event) []Event {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		dst = append(dst, sh.events...)
		sh.events = sh.events[:0]
		sh.mu.Unlock()
	}
	return dst
}

// create adds a service whose route is being pulled, and reports whether it did:
// another request may have been faster.
func (e *Engine) create(key route.Key, now time.Duration) bool {
	s := newService(key, now)
	s.startPull(now)
	return e.insert(s)
}

// insert adds a service and makes room for it first, so that there are never
// more than allowed.
func (e *Engine) insert(s *service) bool {
	for e.count.Add(1) > int64(e.cfg.MaxServices) {
		e.count.Add(-1)
		e.evict()
	}
	sh := e.shardOf(s.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.services[s.key] != nil {
		e.count.Add(-1)
		return false
	}
	sh.add(s)
	return true
}

// evict forgets the service that was asked for the longest ago, if there is
// one. Each shard knows its own; the locks are held one after the other.
func (e *Engine) evict() {
	var oldest *shard
	var at time.Duration
	for i := range e.shards {
		sh := &e.shards[i]
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
		oldest.counters.Evicted++
		e.count.Add(-1)
	}
}

// Restore adds a service with the hosts that it had before the start.
func (e *Engine) Restore(key route.Key, hosts []route.Host, updated, now time.Duration) {
	s := newService(key, LongAgo)
	s.updated = updated
	sh := e.shardOf(key)
	sh.mu.Lock()
	e.setHosts(sh, s, hosts, now)
	sh.mu.Unlock()
	e.insert(s)
}

func (e *Engine) setHosts(sh *shard, s *service, hosts []route.Host, now time.Duration) {
	if s.balancer == nil {
		s.balancer = e.cfg.NewBalancer(s.key)
		s.account = sh.ledger.Open(s.key, hosts)
	} else {
		sh.ledger.Update(s.account, hosts)
	}
	s.balancer.Update(route.AppendEndpoints(nil, hosts), now)
	s.hosts = slices.Clone(hosts)
}

// Len returns how many services there are.
func (e *Engine) Len() int { return int(max(e.count.Load(), 0)) }

// Full reports whether one more service would cost another one.
func (e *Engine) Full() bool { return e.count.Load() >= int64(e.cfg.MaxServices) }

// Known reports whether any service has hosts.
func (e *Engine) Known() bool {
	found := false
	e.each(func(_ *shard, s *service) { found = found || s.balancer != nil })
	return found
}

// each calls f for each service, under the lock of its shard.
func (e *Engine) each(f func(*shard, *service)) {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for s := sh.asked.last; s != nil; s = s.prev {
			f(sh, s)
		}
		sh.mu.Unlock()
	}
}

// Table returns the hosts of all services. The slices are not to be changed.
func (e *Engine) Table() map[route.Key][]route.Host {
	services := make(map[route.Key][]route.Host)
	e.each(func(_ *shard, s *service) {
		if s.balancer != nil {
			services[s.key] = s.hosts
		}
	})
	return services
}

// Counters returns the totals.
func (e *Engine) Counters() Counters {
	var sum Counters
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		sum.add(&sh.counters)
		sum.LostResults += sh.ledger.Lost()
		sh.mu.Unlock()
	}
	return sum
}
