package agent

import (
	"slices"
	"sync"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// maxDeparted is how many results of forgotten services a shard keeps while
// the report service is away, or those of one service if that has more. Each
// takes 40 bytes.
const maxDeparted = 4096

// counters are the totals of a shard, or of all.
type counters struct {
	picks, overloaded, noHosts uint64 // answers to GetHost by code
	routes                     uint64 // answers to GetRoute
	reports                    uint64 // results of calls
	reportsUnknown             uint64 // of these, for a host that is not in the route
	ejected, reinstated        uint64 // hosts
	evicted                    uint64 // services forgotten for want of room
	lostResults                uint64 // results of forgotten services that found no room
}

func (c *counters) add(o *counters) {
	c.picks += o.picks
	c.overloaded += o.overloaded
	c.noHosts += o.noHosts
	c.routes += o.routes
	c.reports += o.reports
	c.reportsUnknown += o.reportsUnknown
	c.ejected += o.ejected
	c.reinstated += o.reinstated
	c.evicted += o.evicted
	c.lostResults += o.lostResults
}

// departed is what is still to be reported of a service that was forgotten.
type departed struct {
	key     route.Key
	results []lb.Result
}

// shard is a part of the route map. It is at least two cache lines longer than
// what a request touches, so that two processors do not share one.
type shard struct {
	mu       sync.Mutex // guards everything below
	services map[route.Key]*service
	asked    list // all of services
	dirty    list // the ones to be reported
	counters counters

	departed        []departed
	departedResults int

	_ [128]byte
}

// add puts a service that is not there yet behind all others.
func (sh *shard) add(s *service) {
	sh.services[s.key] = s
	sh.asked.push(s)
}

// touch notes that a program asks for the service.
func (sh *shard) touch(s *service, now time.Duration) {
	s.asked = now
	if sh.asked.last != s {
		sh.asked.remove(s)
		sh.asked.push(s)
	}
}

// remove forgets the service, but not what is to be reported of it.
func (sh *shard) remove(s *service) {
	sh.depart(s)
	sh.asked.remove(s)
	delete(sh.services, s.key)
}

// markDirty puts the service in line for the next report.
func (sh *shard) markDirty(s *service) {
	if !s.dirty {
		s.dirty = true
		sh.dirty.push(s)
	}
}

// depart takes the results of a service that loses its hosts out of line and
// keeps them by themselves, if there is room.
func (sh *shard) depart(s *service) {
	if !s.dirty {
		return
	}
	s.dirty = false
	sh.dirty.remove(s)
	results := slices.DeleteFunc(s.balancer.Collect(nil), func(r lb.Result) bool { return r.Succ == 0 && r.Err == 0 })
	if sh.departedResults > 0 && sh.departedResults+len(results) > maxDeparted {
		sh.counters.lostResults += uint64(len(results))
		return
	}
	sh.departed = append(sh.departed, departed{s.key, results})
	sh.departedResults += len(results)
}

// waiting returns how many services have something to report.
func (sh *shard) waiting() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return len(sh.departed) + sh.dirty.len
}

// takeReport appends the results of the service that comes first, a forgotten
// one if there is any: its host may have come back with new results.
func (sh *shard) takeReport(dst []lb.Result, now time.Duration) (route.Key, []lb.Result, bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.departed) > 0 {
		d := sh.departed[0]
		sh.departed = sh.departed[1:]
		sh.departedResults -= len(d.results)
		return d.key, append(dst, d.results...), true
	}
	s := sh.dirty.first
	if s == nil {
		return route.Key{}, dst, false
	}
	sh.dirty.remove(s)
	s.dirty = false
	s.reported = now
	return s.key, s.balancer.Collect(dst), true
}
