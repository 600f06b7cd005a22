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

// insert puts s, which must not be in a list, in the order of use.
func (l *list) insert(s *service) {
	after := l.last
	for after != nil && after.used > s.used {
		after = after.prev
	}
	if after == l.last {
		l.push(s)
		return
	}
	s.prev, s.next = after, l.first
	if after != nil {
		s.next = after.next
		after.next = s
	} else {
		l.first = s
	}
	s.next.prev = s
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
