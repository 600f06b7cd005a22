package engine

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// ServiceState is what is known of one service, for people.
type ServiceState struct {
	Key       route.Key
	State     State
	Truncated bool          // the dns service had more hosts than it could send
	Updated   time.Duration // when the hosts were last confirmed; LongAgo: never
	Pulled    time.Duration // when its route was last asked for; LongAgo: not on this connection
	Asked     time.Duration // when a program last asked for it; LongAgo: never
	Hosts     []HostState   // those in rotation first
}

// HostState is what is known of one host, for people.
type HostState struct {
	lb.HostState
	TotalSucc, TotalErr uint64 // calls since the host was added
}

// Keys returns all services, in no order.
func (e *Engine) Keys() []route.Key {
	keys := make([]route.Key, 0, e.Len())
	e.each(func(_ *shard, s *service) { keys = append(keys, s.key) })
	return keys
}

// Explain returns what is known of a service; false if nobody asked for it.
func (e *Engine) Explain(key route.Key) (ServiceState, bool) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil {
		return ServiceState{}, false
	}
	state := ServiceState{Key: key, State: s.state, Truncated: s.truncated, Updated: s.updated, Pulled: s.pulled, Asked: s.asked}
	if s.balancer == nil {
		return state, true
	}
	hosts := s.balancer.Explain(nil)
	state.Hosts = make([]HostState, len(hosts))
	for i, h := range hosts {
		state.Hosts[i].HostState = h
		state.Hosts[i].TotalSucc, state.Hosts[i].TotalErr = s.account.Totals(h.Host)
	}
	return state, true
}
