package sim

import (
	"time"

	"lars.internal/lb"
)

// life is what is wrong with a server.
type life uint8

const (
	well life = iota
	closed
	dark
	hung
)

// server is a simulated host.
type server struct {
	life    life
	errors  float64       // share of calls that fail
	slow    float64       // factor of the service time
	paused  time.Duration // until then
	changed time.Duration // when a step last changed it
	workers int           // calls that it serves at a time; 0: any number
	service time.Duration // mean or median of the time that a call takes
	busy    int
	waiting []int32 // calls, in order
}

// attempt is a call: the first try of an operation of a program, or the second.
type attempt struct {
	began      time.Duration // the operation
	picked     time.Duration
	ticket     lb.Ticket
	agent      int32
	host       int32
	second     bool // the second try
	done       bool
	outcome    outcome
	generation int32 // of the place, so that a late expiry is known
}

// arrive brings a call to its host.
func (s *Simulation) arrive(i int32) {
	c := &s.calls[i]
	h := &s.servers[c.host]
	switch h.life {
	case closed:
		c.done, c.outcome = true, refused
		s.agenda.add(s.now+300*time.Microsecond, reports, i, 0)
	case dark, hung:
		c.done, c.outcome = true, timedOut
		s.agenda.add(s.now+s.Timeout, reports, i, 0)
	default:
		if h.workers > 0 && h.busy >= h.workers {
			h.waiting = append(h.waiting, i)
			s.willExpire(i)
			return
		}
		s.serve(h, i)
	}
}

// willExpire notes when the program gives a call up. It is asked for only where
// that may happen: most calls end before.
func (s *Simulation) willExpire(i int32) {
	c := &s.calls[i]
	s.agenda.add(max(s.now, c.picked+s.Timeout), expires, i, c.generation)
}

// serve begins the work on a call.
func (s *Simulation) serve(h *server, i int32) {
	h.busy++
	end := max(s.now, h.paused) + s.serviceTime(h)
	if end > s.calls[i].picked+s.Timeout {
		s.willExpire(i)
	}
	s.agenda.add(end, finishes, i, 0)
}

func (s *Simulation) serviceTime(h *server) time.Duration {
	mean := float64(h.service) * h.slow
	if s.Sigma == 0 {
		return s.random.exponential(mean)
	}
	return s.random.lognormal(mean, s.Sigma)
}

// finish ends the work on a call and begins that on the next. A call that its
// program has given up is not begun: the deadline came along with it.
func (s *Simulation) finish(i int32) {
	c := &s.calls[i]
	h := &s.servers[c.host]
	if s.now < h.paused {
		s.willExpire(i)
		s.agenda.add(h.paused, finishes, i, 0)
		return
	}
	h.busy--
	for len(h.waiting) > 0 && (h.workers == 0 || h.busy < h.workers) {
		next := h.waiting[0]
		h.waiting = h.waiting[1:]
		if s.calls[next].done {
			s.release(next)
			continue
		}
		s.serve(h, next)
	}
	if !c.done {
		c.done, c.outcome = true, fine
		if h.errors > 0 && s.random.float() < h.errors {
			c.outcome = failed
		}
		s.settle(i)
	}
	s.release(i)
}

// expire gives a call up that is not done.
func (s *Simulation) expire(i, generation int32) {
	if c := &s.calls[i]; c.generation == generation && !c.done {
		c.done, c.outcome = true, timedOut
		s.settle(i)
	}
}

// newCall returns the place of a call.
func (s *Simulation) newCall() int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.calls = append(s.calls, attempt{})
	return int32(len(s.calls) - 1)
}

// release frees the place of a call.
func (s *Simulation) release(i int32) {
	s.calls[i].generation++
	s.free = append(s.free, i)
}
