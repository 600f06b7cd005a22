package agent

// The lists in which a service may be, each at most once.
const (
	byAsked  = iota // all services of a shard, the one asked for last at the end
	byReport        // the ones with news for the report service, the oldest news first
	lists
)

// links are a service's neighbours in a list.
type links struct{ prev, next *service }

// list is a queue that services link themselves into, so that moving one
// allocates nothing. Guarded by the shard's lock.
type list struct {
	which       int // byAsked or byReport
	first, last *service
	len         int
}

// push puts s, which must not be in the list, at the end.
func (l *list) push(s *service) {
	s.links[l.which] = links{prev: l.last}
	if l.last == nil {
		l.first = s
	} else {
		l.last.links[l.which].next = s
	}
	l.last = s
	l.len++
}

// remove takes s, which must be in the list, out.
func (l *list) remove(s *service) {
	at := s.links[l.which]
	if at.prev == nil {
		l.first = at.next
	} else {
		at.prev.links[l.which].next = at.next
	}
	if at.next == nil {
		l.last = at.prev
	} else {
		at.next.links[l.which].prev = at.prev
	}
	s.links[l.which] = links{}
	l.len--
}
