package adaptive

import (
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

func id(i int) route.Host { return route.Host{IP: 0x0a000001 + uint32(i)*7, Port: 8080} }

// endpointsOf returns n hosts with these weights, in turn.
func endpointsOf(n int, weights ...uint32) []route.Endpoint {
	e := make([]route.Endpoint, n)
	for i := range e {
		e[i] = route.Endpoint{Host: id(i), Weight: route.DefaultWeight}
		if len(weights) > 0 {
			e[i].Weight = weights[i%len(weights)]
		}
	}
	return e
}

// subject is a balancer with a clock, whose probes are answered by the test.
type subject struct {
	*Balancer
	t   testing.TB
	now time.Duration
}

// newSubject returns a balancer of n hosts that have answered their first probe
// and a call of 5 ms each.
func newSubject(t testing.TB, n int, change func(*Config), weights ...uint32) *subject {
	s := bareSubject(t, change)
	s.Update(endpointsOf(n, weights...), s.now)
	s.run(11*sec, func() { s.answer(lb.ProbeOK) })
	for i := range n {
		s.ok(i)
	}
	return s
}

func bareSubject(t testing.TB, change func(*Config)) *subject {
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return &subject{Balancer: New(cfg, 1), t: t, now: sec}
}

// run lets time pass in ticks of 50 ms, with f after each.
func (s *subject) run(d time.Duration, f func()) {
	for end := s.now + d; s.now < end; {
		s.now += 50 * ms
		s.Tick(s.now)
		if f != nil {
			f()
		}
	}
}

// answer answers all probes that are asked for, and returns to which hosts.
func (s *subject) answer(a lb.Answer) (asked []route.Host) {
	for _, p := range s.Probes(nil) {
		asked = append(asked, p.Host)
		s.Probed(p.Host, a, s.now)
	}
	return asked
}

func (s *subject) host(i int) *host { return &s.hosts[s.index.Find(s.ids, id(i))] }

func (s *subject) coldHalf(i int) *cold { return s.coldOf(int32(s.index.Find(s.ids, id(i)))) }

// ok tells of a good call to host i that was picked 5 ms ago.
func (s *subject) ok(i int) { s.end(i, lb.Outcome{OK: 1, Latency: 5 * ms}) }

// record gives each host 2,000 good calls: then its error rate is known.
func (s *subject) record() {
	for range 2000 {
		for i := range s.hosts {
			s.ok(i)
		}
	}
}

func (s *subject) fail(i int, k lb.Kind) { s.end(i, lb.Outcome{Failed: 1, Kind: k, Latency: 5 * ms}) }

// end tells of a call to host i that was picked just before.
func (s *subject) end(i int, o lb.Outcome) lb.Effect {
	s.begin(i)
	o.Ticket = lb.Ticket(toUS(s.now) + 1)
	s.now += 5 * ms
	return s.Observe(id(i), o, s.now)
}

// begin counts a pick of host i.
func (s *subject) begin(i int) {
	s.host(i).begin(toUS(s.now))
	s.picks++
}

func (s *subject) pick() int {
	h, _, v := s.Pick(s.now, route.Host{})
	if v != lb.Picked {
		return -1
	}
	return s.number(h)
}

func (s *subject) number(h route.Host) int { return int(h.IP-0x0a000001) / 7 }

// drawn returns how many of n picks each host gets; each call ends at once.
func (s *subject) drawn(n int) map[int]int {
	got := map[int]int{}
	for range n {
		i := s.pick()
		got[i]++
		if i >= 0 {
			s.Observe(id(i), lb.Outcome{OK: 1, Latency: 5 * ms, Ticket: lb.Ticket(toUS(s.now) + 1)}, s.now)
		}
		s.now += 100 * time.Microsecond
	}
	return got
}
