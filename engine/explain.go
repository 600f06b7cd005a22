package engine

import (
	"cmp"
	"slices"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// ServiceState is what is known of one service, for people.
type ServiceState struct {
	Key       route.Key
	State     State
	Truncated bool          // the dns service had more hosts than it could send
	Stale     bool          // the dns service could not confirm its last answer
	Version   uint64        // of the last answer; 0: it had none
	Updated   time.Duration // when the hosts were last confirmed; LongAgo: never
	Answered  time.Duration // when the dns service last said anything about it; LongAgo: never
	Pulled    time.Duration // when its route was last asked for; LongAgo: not on this connection
	Emptied   time.Duration // since when the hosts are kept although the route is empty; LongAgo: they are not
	Asked     time.Duration // when a program last asked for it; LongAgo: never
	Hosts     []HostState   // those in rotation first

	UpdateTimeout time.Duration   // age at which its route is pulled again
	Settings      []route.Setting // not to be changed
}

// HostState is what is known of one host, for people.
type HostState struct {
	lb.HostState
	Weight              uint32 // of the route
	Zone                string
	TotalSucc, TotalErr uint64 // calls since the host was added
}

// Served reports whether a service has hosts.
func (e *Engine) Served(key route.Key) bool {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	return s != nil && s.balancer != nil
}

// Keys returns all services, in no order.
func (e *Engine) Keys() []route.Key {
	keys := make([]route.Key, 0, e.Len())
	e.each(func(_ *shard, s *service) { keys = append(keys, s.key) })
	return keys
}

// Explain returns what is known of a service; false if no program has asked for it.
func (e *Engine) Explain(key route.Key) (ServiceState, bool) {
	return e.explain(key, func(b lb.Balancer) lb.Balancer { return b })
}

// ExplainShadow returns what is known of a service, with its hosts as the balancer
// sees them that looks on; there are none without such a balancer.
func (e *Engine) ExplainShadow(key route.Key) (ServiceState, bool) {
	return e.explain(key, func(b lb.Balancer) lb.Balancer {
		if s, ok := b.(lb.Shadowed); ok {
			return s.Shadow()
		}
		return nil
	})
}

func (e *Engine) explain(key route.Key, of func(lb.Balancer) lb.Balancer) (ServiceState, bool) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil {
		return ServiceState{}, false
	}
	state := ServiceState{
		Key: key, State: s.state, Truncated: s.truncated, Stale: s.stale, Version: s.version,
		Updated: s.updated, Answered: s.answered, Pulled: s.pulled, Emptied: s.emptied, Asked: s.asked,
		UpdateTimeout: s.timeout, Settings: s.route.Settings,
	}
	if s.balancer == nil {
		return state, true
	}
	if b := of(s.balancer); b != nil {
		state.Hosts = s.hostStates(b.Explain(nil))
	}
	return state, true
}

// ExplainHost returns what the balancer of a service knows of one host, and the
// settings of the service, which are not to be changed; false if there is no such
// host, or more than most are in the service.
func (e *Engine) ExplainHost(key route.Key, host route.Host, most int) (lb.HostState, []route.Setting, bool) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil || s.balancer == nil || len(s.route.Hosts) > most {
		return lb.HostState{}, nil, false
	}
	for _, h := range s.balancer.Explain(nil) {
		if h.Host == host {
			return h, s.route.Settings, true
		}
	}
	return lb.HostState{}, nil, false
}

// hostStates adds to the states of hosts what the balancer does not know.
func (s *service) hostStates(states []lb.HostState) []HostState {
	endpoints := make(map[route.Host]*route.Endpoint, len(s.route.Hosts))
	for i := range s.route.Hosts {
		endpoints[s.route.Hosts[i].Host] = &s.route.Hosts[i]
	}
	hosts := make([]HostState, len(states))
	for i, st := range states {
		h := &hosts[i]
		h.HostState = st
		if e := endpoints[st.Host]; e != nil {
			h.Weight, h.Zone = e.Weight, e.Zone
		}
		h.TotalSucc, h.TotalErr = s.account.Totals(st.Host)
	}
	return hosts
}

// Health is how many hosts and services can be called.
type Health struct {
	Hosts, Ejected int // hosts of all services, and those of them that are ejected
	WithoutHosts   int // services
	AllEjected     int // services with hosts of which none is in rotation
	Emptied        int // services whose hosts are kept although the route is empty
}

// ServiceHealth is how many hosts of one service can be called.
type ServiceHealth struct {
	Key            route.Key
	Hosts, Ejected int
	Picks          uint64
}

// Health sums all services.
func (e *Engine) Health() Health {
	var h Health
	e.eachHealth(func(s ServiceHealth) {
		h.Hosts += s.Hosts
		h.Ejected += s.Ejected
		switch {
		case s.Hosts == 0:
			h.WithoutHosts++
		case s.Hosts == s.Ejected:
			h.AllEjected++
		}
	})
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		h.Emptied += sh.emptied
		sh.mu.Unlock()
	}
	return h
}

// Busiest returns up to n services with hosts, the ones with the most picks
// first.
func (e *Engine) Busiest(n int) []ServiceHealth {
	var all []ServiceHealth
	e.eachHealth(func(s ServiceHealth) {
		if s.Hosts > 0 {
			all = append(all, s)
		}
	})
	slices.SortFunc(all, func(a, b ServiceHealth) int {
		return cmp.Or(cmp.Compare(b.Picks, a.Picks), a.Key.Compare(b.Key))
	})
	return all[:min(n, len(all))]
}

func (e *Engine) eachHealth(f func(ServiceHealth)) {
	e.each(func(_ *shard, s *service) {
		h := ServiceHealth{Key: s.key, Picks: s.picks}
		if s.account != nil {
			h.Hosts, h.Ejected = s.account.Hosts()
		}
		f(h)
	})
}
