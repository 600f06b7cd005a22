package engine

import (
	"time"

	"lars.internal/lb"
	"lars.internal/ledger"
	"lars.internal/route"
)

// State is where the route of a service is between the machine and a dns
// service.
type State uint8

const (
	StateNew     State = iota // no pull is under way
	StatePulling              // a pull was asked for and not answered yet
)

// String returns the state as the original calls it.
func (s State) String() string {
	if s == StatePulling {
		return "PULLING"
	}
	return "NEW"
}

const (
	// pullPause is the least time between two pulls of a service on behalf of
	// requests. A program that registers asks three times within 100 ms, so the
	// last of these gets what has arrived since the first.
	pullPause = 100 * time.Millisecond

	// maxEmpty is how often pullPause doubles for a service that stays without
	// hosts, up to 1.6 s: it is subscribed, so its first host is pushed.
	maxEmpty = 4

	// forgetAfter is how long a service without hosts is remembered after the
	// last program used it.
	forgetAfter = 5 * time.Minute
)

// LongAgo is earlier than every time of the engine's clock.
const LongAgo = ledger.Never

// service is what is known of one service. Guarded by the lock of its shard.
type service struct {
	key        route.Key
	prev, next *service // in the list of its shard
	place      place    // in the agenda of its shard

	state     State
	truncated bool  // the dns service had more hosts than it could send
	stale     bool  // the dns service could not confirm the last answer
	empty     uint8 // answers without hosts in a row, at most maxEmpty
	holds     int32 // by programs

	balancer lb.Balancer     // nil exactly while there are no hosts
	account  *ledger.Account // likewise
	route    route.Route     // hosts without duplicates; its slices are replaced, never changed, so they may be read without the lock
	version  uint64          // of the last answer; 0: it had none
	picks    uint64

	updated  time.Duration // when the hosts were last confirmed
	answered time.Duration // when the dns service last said anything about it
	pulled   time.Duration // when a pull was last asked for
	emptied  time.Duration // since when the hosts are kept against empty answers; LongAgo: they are not
	asked    time.Duration // when a program last asked for it
	timeout  time.Duration // age at which its route is pulled again
	used     time.Duration // when a program last asked for it, reported a call or held it
}

// newService returns a service without hosts that was not pulled yet.
func newService(key route.Key, timeout, asked time.Duration) *service {
	return &service{
		key: key, timeout: timeout, asked: asked, used: asked,
		updated: LongAgo, answered: LongAgo, pulled: LongAgo, emptied: LongAgo,
		place: place{due: lb.Never},
	}
}

// pull turns the service to PULLING if a request of now has to pull its route,
// and reports whether it did. A pull that is not answered within its timeout was
// lost.
func (s *service) pull(now time.Duration) bool {
	due := false
	switch {
	case s.state == StatePulling:
		due = now-s.pulled > s.timeout
	case s.balancer == nil || s.emptied != LongAgo:
		due = now-s.pulled >= pullPause<<s.empty
	default:
		due = s.aged(now)
	}
	if due {
		s.startPull(now)
	}
	return due
}

// aged reports whether the route is older than its timeout and was not pulled just
// now.
func (s *service) aged(now time.Duration) bool {
	return now-s.answered > s.timeout && now-s.pulled >= pullPause
}

func (s *service) startPull(now time.Duration) { s.state, s.pulled = StatePulling, now }
