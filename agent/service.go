package agent

import (
	"time"

	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// state is where the route of a service is between the agent and a dns
// service.
type state uint8

const (
	stateNew     state = iota // no pull is under way
	statePulling              // a pull was asked for and not answered yet
)

// String returns the state as the original calls it.
func (s state) String() string {
	if s == statePulling {
		return "PULLING"
	}
	return "NEW"
}

const (
	// pullPause is the least time between two pulls of a service on behalf of
	// requests. A program that registers asks three times within 100 ms, so
	// the last of these finds what came up since the first.
	pullPause = 100 * time.Millisecond

	// maxEmpty is how often pullPause doubles for a service that stays without
	// hosts, up to 1.6 s: it is subscribed, so its first host is pushed.
	maxEmpty = 4

	// longAgo is before everything that an agent lives to see.
	longAgo = time.Duration(-1 << 62)
)

// service is what the agent knows of one service. Guarded by the lock of its
// shard.
//
// A service without hosts stays until it is the one asked for the longest ago:
// that bounds how often a program that asks for nothing in particular makes
// the agent pull.
type service struct {
	key   route.Key
	links [lists]links

	state state
	dirty bool  // in the list byReport
	cut   bool  // the dns service had more hosts than it could send
	empty uint8 // answers without hosts in a row, at most maxEmpty

	balancer lb.Balancer  // nil exactly while there are no hosts
	hosts    []route.Host // without duplicates; replaced, never changed, so it may be read without the lock

	updated  time.Duration // when the hosts were last confirmed
	pulled   time.Duration // when a pull was last asked for
	asked    time.Duration // when a program last asked for it
	reported time.Duration // when its results were last taken for a report
}

// newService returns a service without hosts that was not pulled yet.
func newService(key route.Key, asked time.Duration) *service {
	return &service{key: key, asked: asked, updated: longAgo, pulled: longAgo, reported: longAgo}
}

// pick chooses the host of the next call.
func (s *service) pick(now time.Duration) (route.Host, larspb.RetCode) {
	if s.balancer == nil {
		return route.Host{}, larspb.RetCode_RET_NOEXIST
	}
	host, verdict := s.balancer.Pick(now)
	switch verdict {
	case lb.Picked:
		return host, larspb.RetCode_RET_SUCC
	case lb.Overloaded:
		return host, larspb.RetCode_RET_OVERLOAD
	}
	return host, larspb.RetCode_RET_NOEXIST
}

// pull turns the service to PULLING if a request of now has to pull its route,
// and tells so. A pull that is not answered within timeout was lost.
func (s *service) pull(now, timeout time.Duration) bool {
	due := false
	switch {
	case s.state == statePulling:
		due = now-s.pulled > timeout
	case s.balancer == nil:
		due = now-s.pulled >= pullPause<<s.empty
	default:
		due = now-s.updated > timeout && now-s.pulled >= pullPause
	}
	if due {
		s.startPull(now)
	}
	return due
}

func (s *service) startPull(now time.Duration) { s.state, s.pulled = statePulling, now }

// dropped returns how many results of hosts that left the balancer has lost.
func (s *service) dropped() uint64 {
	if s.balancer == nil {
		return 0
	}
	return s.balancer.Dropped()
}

// emptied notes an answer without hosts.
func (s *service) emptied() {
	if s.empty < maxEmpty {
		s.empty++
	}
	s.balancer, s.hosts = nil, nil
}
