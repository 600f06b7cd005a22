package engine

import (
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

// minEmpty is the least room for services without hosts, unless MaxServices
// is smaller.
const minEmpty = 16

// Config describes an engine.
type Config struct {
	// NewBalancer returns the balancer of a service with these settings. have is
	// the one that it has, nil if none: it is returned, reconfigured, if it can go
	// on, so that the state of its hosts stays. Another one is without hosts. It
	// is called under the lock of a part, must be safe for concurrent use, and
	// must not call the engine.
	NewBalancer func(key route.Key, settings []route.Setting, have lb.Balancer, now time.Duration) lb.Balancer

	// UpdateTimeout is the age at which a route is pulled again, of a service
	// that has no settings.
	UpdateTimeout time.Duration

	// UpdateTimeoutOf returns it for a service with settings, under the same terms
	// as NewBalancer. Nil: UpdateTimeout.
	UpdateTimeoutOf func(settings []route.Setting) time.Duration

	// MaxServices is how many services with hosts are kept; beyond it the one
	// used the longest ago is forgotten. Services without hosts have a tenth of
	// that, at least 16, for themselves: therefore questions for names that do
	// not exist evict no service.
	MaxServices int

	// Epoch is the time in Unix seconds at the moment 0 of the engine's clock.
	Epoch int64

	// KeepEmptied is how long the hosts of a service are kept when its route
	// turns empty and no edit removed them. 0: not at all.
	KeepEmptied time.Duration
}

// Engine is the services of a machine. Make it with New. All methods are safe
// for concurrent use.
type Engine struct {
	// Immutable after New.
	cfg      Config
	maxEmpty int64

	known, empty atomic.Int64 // services with hosts, and without
	shards       [Parts]shard

	evicting sync.Mutex // held while services are forgotten for want of room; taken before the lock of a shard

	mu      sync.Mutex         // guards everything below; taken without the lock of a shard
	number  uint64             // of the last message
	flights map[uint64]*flight // reports in flight by the number of a message
}

// New returns an engine without services.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, flights: make(map[uint64]*flight)}
	e.maxEmpty = int64(min(cfg.MaxServices, max(minEmpty, cfg.MaxServices/10)))
	for i := range e.shards {
		e.shards[i].services = make(map[route.Key]*service)
		e.shards[i].ledger.Epoch = cfg.Epoch
		e.shards[i].held = make(map[*service]bool)
	}
	return e
}

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
	s.asked = now
	sh.touch(s, now)
	verdict = lb.NoHosts
	if s.balancer != nil {
		host, ticket, verdict = s.balancer.Pick(now, avoid)
		sh.agenda.hurry(s)
	}
	switch verdict {
	case lb.Picked:
		sh.counters.Picks++
		s.picks++
	case lb.Overloaded:
		sh.counters.Overloaded++
	default:
		sh.counters.NoHosts++
	}
	pull = s.pull(now)
	sh.mu.Unlock()
	return host, ticket, verdict, pull
}

// Interest returns the route of a service, whose slices the caller must not
// change, for a program that asks for it; whether the dns service had to leave
// hosts out; and whether the route has to be pulled now.
func (e *Engine) Interest(key route.Key, now time.Duration) (r route.Route, truncated, pull bool) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	sh.counters.Interests++
	s := sh.services[key]
	if s == nil {
		sh.mu.Unlock()
		return route.Route{}, false, e.create(key, now)
	}
	s.asked = now
	sh.touch(s, now)
	r, truncated, pull = s.route, s.truncated, s.pull(now)
	sh.mu.Unlock()
	return r, truncated, pull
}

// Observe takes the outcome of calls. With Changed in the effect, TakeEvents has
// something new; with Asked, TakeProbes has.
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
	s := newService(key, e.cfg.UpdateTimeout, now)
	s.startPull(now)
	sh := e.shardOf(key)
	sh.mu.Lock()
	created := sh.services[key] == nil
	if created {
		sh.add(s)
		e.empty.Add(1)
	}
	sh.mu.Unlock()
	e.makeRoom()
	return created
}

// Restore adds a service with the route that it had before the start, which has
// hosts, unless it is there already.
func (e *Engine) Restore(key route.Key, r route.Route, updated, now time.Duration) {
	s := newService(key, e.cfg.UpdateTimeout, LongAgo)
	s.updated, s.answered = updated, updated
	sh := e.shardOf(key)
	sh.mu.Lock()
	if sh.services[key] == nil {
		sh.add(s)
		e.empty.Add(1)
		e.setRoute(sh, s, r, now)
	}
	sh.mu.Unlock()
	e.makeRoom()
}

// Len returns how many services there are.
func (e *Engine) Len() int { return int(e.known.Load() + e.empty.Load()) }

// Full reports whether one more service with hosts would evict another one.
func (e *Engine) Full() bool { return e.known.Load() >= int64(e.cfg.MaxServices) }

// Known reports whether any service has hosts.
func (e *Engine) Known() bool { return e.known.Load() > 0 }

// each calls f for each service, under the lock of its shard.
func (e *Engine) each(f func(*shard, *service)) {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for _, s := range sh.services {
			f(sh, s)
		}
		sh.mu.Unlock()
	}
}

// Table returns the routes of all services with hosts. The slices are not to be
// changed.
func (e *Engine) Table() map[route.Key]route.Route {
	services := make(map[route.Key]route.Route)
	e.each(func(_ *shard, s *service) {
		if s.balancer != nil {
			services[s.key] = s.route
		}
	})
	return services
}

// Balancing returns the totals of all balancers, of those that are gone too. It
// takes time in proportion to the number of services.
func (e *Engine) Balancing() lb.Counters {
	var sum lb.Counters
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		sum = sum.Plus(sh.retired)
		for s := sh.known.first; s != nil; s = s.next {
			sum = sum.Plus(s.balancer.Counters())
		}
		sh.mu.Unlock()
	}
	return sum
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
