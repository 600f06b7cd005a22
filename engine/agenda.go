package engine

import (
	"container/heap"
	"time"

	"lars.internal/lb"
)

// soon is a due time: the balancer is to be ticked with the next pass.
const soon = time.Duration(-1 << 63)

// agenda is which balancers of a part are to be ticked when, so that a pass over
// all services costs nothing for those at rest. A service with hosts is in one
// of the two lists, or in none while its due is lb.Never. Guarded by the lock of
// the part.
type agenda struct {
	// Due is soon: those that were used since the last pass, or asked for one. A
	// list, since every pick of a service at rest puts it here.
	first, last *service
	len         int

	later laterHeap

	asking []*service // whose balancers want probes, and some that are gone
}

// place is where a service is in the agenda of its part.
type place struct {
	due        time.Duration // lb.Never: nowhere
	prev, next *service      // in the list, if due is soon
	at         int           // in the heap, else
	asking     bool
}

// hurry has the balancer of a service ticked with the next pass.
func (a *agenda) hurry(s *service) {
	if s.place.due != soon {
		a.remove(s)
		a.push(s)
	}
}

// put has the balancer of a service, which is nowhere, ticked at a time.
func (a *agenda) put(s *service, due, now time.Duration) {
	switch {
	case due <= now+lb.TickAfter:
		a.push(s)
	case due != lb.Never:
		s.place.due = due
		heap.Push(&a.later, s)
	}
}

func (a *agenda) push(s *service) {
	s.place.due, s.place.prev, s.place.next = soon, a.last, nil
	if a.last == nil {
		a.first = s
	} else {
		a.last.place.next = s
	}
	a.last = s
	a.len++
}

// remove takes a service out of the list in which it is, if any.
func (a *agenda) remove(s *service) {
	p := &s.place
	switch p.due {
	case lb.Never:
		return
	case soon:
		a.unlink(p)
	default:
		heap.Remove(&a.later, p.at)
	}
	p.due, p.prev, p.next = lb.Never, nil, nil
}

func (a *agenda) unlink(p *place) {
	if p.prev == nil {
		a.first = p.next
	} else {
		p.prev.place.next = p.next
	}
	if p.next == nil {
		a.last = p.prev
	} else {
		p.next.place.prev = p.prev
	}
	a.len--
}

// advance moves what is due by now to the list.
func (a *agenda) advance(now time.Duration) {
	for len(a.later) > 0 && a.later[0].place.due <= now {
		a.hurry(a.later[0])
	}
}

// ask notes that the balancer of a service wants probes.
func (a *agenda) ask(s *service) {
	if !s.place.asking {
		s.place.asking = true
		a.asking = append(a.asking, s)
	}
}

// laterHeap implements heap.Interface, the next one due first.
type laterHeap []*service

func (h laterHeap) Len() int           { return len(h) }
func (h laterHeap) Less(i, j int) bool { return h[i].place.due < h[j].place.due }
func (h laterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place.at, h[j].place.at = i, j
}

// Push is for package heap.
func (h *laterHeap) Push(x any) {
	s := x.(*service)
	s.place.at = len(*h)
	*h = append(*h, s)
}

// Pop is for package heap.
func (h *laterHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}
