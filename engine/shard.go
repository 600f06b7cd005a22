package engine

import (
	"sync"
	"time"

	"lars.internal/lb"
	"lars.internal/ledger"
	"lars.internal/route"
)

const (
	// maxEvents is how many events a shard keeps until they are taken.
	maxEvents = 256

	// maxGone is how many forgotten services a shard keeps until they are taken.
	maxGone = 1024
)

// Counters are totals since the start.
type Counters struct {
	Picks, Overloaded, NoHosts uint64 // by verdict
	Interests                  uint64 // questions for all hosts of a service
	Reports                    uint64 // outcomes of calls
	ReportsUnknown             uint64 // of these, for a host that is not in the route
	Ejected, Reinstated        uint64 // hosts
	Evicted                    uint64 // services forgotten for want of room
	Forgotten                  uint64 // services without hosts forgotten because no program used them
	Emptied                    uint64 // times that hosts were kept although an answer had none
	Outdated                   uint64 // answers of a stale table that was older than the route
	LostResults                uint64 // results of hosts and services that are gone that found no room
	LostEvents                 uint64 // events that were not taken in time
	LostGone                   uint64 // forgotten services that were not taken in time
}

func (c *Counters) add(o *Counters) {
	c.Picks += o.Picks
	c.Overloaded += o.Overloaded
	c.NoHosts += o.NoHosts
	c.Interests += o.Interests
	c.Reports += o.Reports
	c.ReportsUnknown += o.ReportsUnknown
	c.Ejected += o.Ejected
	c.Reinstated += o.Reinstated
	c.Evicted += o.Evicted
	c.Forgotten += o.Forgotten
	c.Emptied += o.Emptied
	c.Outdated += o.Outdated
	c.LostResults += o.LostResults
	c.LostEvents += o.LostEvents
	c.LostGone += o.LostGone
}

// Event is something that happened to a host of a service.
type Event struct {
	Key route.Key
	lb.Event
	TotalSucc, TotalErr uint64 // calls since the host was added
}

// shard is a part of the services. It is at least two cache lines longer than
// what a request touches, so that two processors do not share one.
type shard struct {
	mu       sync.Mutex // guards everything below
	services map[route.Key]*service
	known    list // the services with hosts, the one used last at the end
	empty    list // the services without hosts, likewise
	held     map[*service]bool
	emptied  int         // services whose hosts are kept against empty answers
	gone     []route.Key // services forgotten and not taken yet, at most maxGone
	ledger   ledger.Ledger
	agenda   agenda
	counters Counters
	retired  lb.Counters // of balancers that are gone
	events   []Event     // not taken yet, at most maxEvents
	scratch  []lb.Event  // of takeEvents
	wanted   []lb.Probe  // of takeProbes

	_ [128]byte
}

// listOf returns the list in which the service is.
func (sh *shard) listOf(s *service) *list {
	if s.balancer == nil {
		return &sh.empty
	}
	return &sh.known
}

// add puts a service that is not there yet in its place.
func (sh *shard) add(s *service) {
	sh.services[s.key] = s
	sh.listOf(s).insert(s)
}

// touch notes that a program uses the service.
func (sh *shard) touch(s *service, now time.Duration) {
	s.used = now
	if l := sh.listOf(s); l.last != s {
		l.remove(s)
		l.push(s)
	}
}

// forget forgets the service, but not what is to be reported of it.
func (sh *shard) forget(s *service) {
	sh.confirm(s)
	sh.agenda.remove(s)
	sh.retire(s)
	sh.listOf(s).remove(s)
	delete(sh.services, s.key)
	delete(sh.held, s)
	if len(sh.gone) == maxGone {
		sh.counters.LostGone++
		return
	}
	sh.gone = append(sh.gone, s.key)
}

// drop takes the hosts of the service away, but not what is to be reported of
// them.
func (sh *shard) drop(s *service) {
	sh.confirm(s)
	sh.agenda.remove(s)
	sh.retire(s)
	sh.known.remove(s)
	s.balancer, s.account, s.route = nil, nil, route.Route{}
	sh.empty.insert(s)
}

// confirm ends the time in which hosts are kept against empty answers.
func (sh *shard) confirm(s *service) {
	if s.emptied != LongAgo {
		s.emptied = LongAgo
		sh.emptied--
	}
}

// retire keeps what the balancer of a service has counted, and what is to be
// reported.
func (sh *shard) retire(s *service) {
	if s.balancer != nil {
		sh.retired = sh.retired.Plus(s.balancer.Counters())
		sh.ledger.Close(s.account)
	}
}

// observe takes the outcome of calls to a host of a service that has hosts.
func (sh *shard) observe(s *service, host route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	effect := s.balancer.Observe(host, o, now)
	if effect&lb.Counted == 0 {
		return effect
	}
	sh.touch(s, now)
	sh.agenda.hurry(s)
	if effect&lb.Asked != 0 {
		sh.agenda.ask(s)
	}
	sh.ledger.Count(s.account, host, o, effect, now)
	if effect&lb.Changed != 0 {
		sh.takeEvents(s, now)
	}
	return effect
}

// takeEvents moves the events of a balancer to those of the shard, and reports
// whether there were any.
func (sh *shard) takeEvents(s *service, now time.Duration) bool {
	sh.scratch = s.balancer.Events(sh.scratch[:0])
	for i, e := range sh.scratch {
		switch e.Kind {
		case lb.Ejected:
			sh.counters.Ejected++
		case lb.Reinstated, lb.OnTrial:
			sh.counters.Reinstated++
		}
		sh.ledger.Happened(s.account, &sh.scratch[i], now)
		if len(sh.events) == maxEvents {
			sh.counters.LostEvents++
			continue
		}
		ev := Event{Key: s.key, Event: e}
		ev.TotalSucc, ev.TotalErr = s.account.Totals(e.Host)
		sh.events = append(sh.events, ev)
	}
	return len(sh.scratch) > 0
}
