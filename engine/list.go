package engine

// list is a queue that services link themselves into, so that moving one
// allocates nothing. Guarded by the lock of the part.
type list struct {
	first, last *service
	len         int
}

// push puts s, which must not be in a list, at the end.
func (l *list) push(s *service) {
	s.prev, s.next = l.last, nil
	if l.last == nil {
		l.first = s
	} else {
		l.last.next = s
	}
	l.last = s
	l.len++
}

// remove takes s, which must be in the list, out.
func (l *list) remove(s *service) {
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	l.len--
}
