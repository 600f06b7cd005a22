package dns

import (
	"sync"
	"sync/atomic"

	"lars.internal/larspb"
	"lars.internal/route"
)

// maxRemoved bounds the services that are remembered as emptied by an edit.
const maxRemoved = 100_000

// routes are what all event loops answer from. Safe for concurrent use.
type routes struct {
	// Swapped whole by Server.publish; readers never lock. Nil: nothing is
	// loaded.
	table atomic.Pointer[route.Table]

	// stale: the table is a snapshot, or could not be confirmed lately.
	stale atomic.Bool

	removed removedSet
}

// answer returns what an agent of some level gets for a service: 0 is an agent
// that knows no field of ours, such as one of the C++ stack.
func (r *routes) answer(t *route.Table, key route.Key, level uint32) larspb.RouteAnswer {
	has := t.Route(key)
	a := larspb.RouteAnswer{Key: key, Hosts: has.Hosts}
	if level == 0 {
		a.Hosts = route.WithoutDrained(has.Hosts) // the agent does not know weights
	} else {
		a.Settings = has.Settings
		a.Version, a.Stale, a.Level = t.Version(), r.stale.Load(), larspb.Level
		a.Removed = len(a.Hosts) == 0 && r.removed.has(key)
	}
	return a
}

// removedSet holds the services that have no hosts because an edit removed
// them. Only the watcher writes. A service enters before the table without it
// is published, and leaves after the table with it is.
type removedSet struct {
	mu   sync.RWMutex // guards keys
	keys map[route.Key]struct{}
}

func (s *removedSet) has(key route.Key) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.keys[key]
	return ok
}

// add notes a service. Of too many the rest is not noted: their agents keep the
// last hosts for a while longer.
func (s *removedSet) add(key route.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = make(map[route.Key]struct{})
	}
	if len(s.keys) < maxRemoved {
		s.keys[key] = struct{}{}
	}
}

func (s *removedSet) drop(key route.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
}
