package adaptive

import (
	"math"
	"testing"

	"lars.internal/lb"
	"lars.internal/route"
)

// avoiding returns how many of n picks that avoid host i each host gets.
func (s *subject) avoiding(i, n int) map[int]int {
	got := map[int]int{}
	for range n {
		h, ticket, _ := s.Pick(s.now, id(i))
		got[s.number(h)]++
		s.Observe(h, lb.Outcome{OK: 1, Latency: 5 * ms, Ticket: ticket}, s.now)
		s.now += ms / 10
	}
	return got
}

// TestSecondTryHasAChoice: a retry avoids the host that failed, and chooses among
// the others as a first try does.
func TestSecondTryHasAChoice(t *testing.T) {
	for _, weights := range [][]uint32{nil, {200, 100, 100}} {
		s := newSubject(t, 3, nil, weights...)
		s.host(1).set(suspect | probing)
		s.host(1).latency *= 100
		got := 0
		for range 1000 {
			h, _, _ := s.Pick(s.now, id(0))
			s.host(s.number(h)).inFlight = 0
			if s.number(h) == 0 {
				t.Fatalf("weights %v: the host to avoid is picked", weights)
			}
			if s.number(h) == 1 {
				got++
			}
		}
		if got > 10 {
			t.Errorf("weights %v: %d of 1,000 second tries go to a suspect, where a better host is", weights, got)
		}
	}
}

// TestSecondTryOfTheOnlyHost: there is nobody else.
func TestSecondTryOfTheOnlyHost(t *testing.T) {
	s := newSubject(t, 1, nil)
	if got := s.avoiding(0, 10); got[0] != 10 {
		t.Errorf("picks %v", got)
	}
}

// TestSecondTryFavoursNoLightHost: it goes by weight.
func TestSecondTryFavoursNoLightHost(t *testing.T) {
	s := newSubject(t, 4, nil, 100, 100, 400, 400)
	if got := s.avoiding(0, 9000); got[1] > 1500 || got[1] < 600 {
		t.Errorf("picks %v; host 1 has 1/9 of the weight", got)
	}
}

// TestSecondTryGoesToAnotherZone if the only other hosts are there.
func TestSecondTryGoesToAnotherZone(t *testing.T) {
	s := bareSubject(t, func(c *Config) { c.Zone = "a" })
	endpoints := endpointsOf(3)
	for i, zone := range []string{"a", "b", "b"} {
		endpoints[i].Zone = zone
	}
	s.Update(endpoints, s.now)
	if got := s.avoiding(0, 100); got[0] != 0 || s.counters.RemotePicks != 100 {
		t.Errorf("picks %v, remote %d", got, s.counters.RemotePicks)
	}
	endpoints[1].Weight = 0
	endpoints[0].Zone = "b"
	endpoints[2].Zone = "a"
	s.Update(endpoints, s.now)
	s.share = 0 // whatever the shares of the zones
	if got := s.avoiding(0, 100); got[0] != 0 {
		t.Errorf("picks %v, of which none can go to the other zone", got)
	}
}

// TestLightHostsAreNotFavoured: shares follow the weights within what two choices
// flatten.
func TestLightHostsAreNotFavoured(t *testing.T) {
	weights := []uint32{1, 1, 2, 4, 8}
	s := newSubject(t, len(weights), nil, weights...)
	const n = 200_000
	got := map[int]int{}
	type call struct {
		h      route.Host
		ticket lb.Ticket
	}
	var flying []call
	for range n {
		h, ticket, _ := s.Pick(s.now, route.Host{})
		got[s.number(h)]++
		if flying = append(flying, call{h, ticket}); len(flying) > 10 {
			s.Observe(flying[0].h, lb.Outcome{OK: 1, Latency: 5 * ms, Ticket: flying[0].ticket}, s.now)
			flying = flying[1:]
		}
		s.now += ms / 2
	}
	for i, w := range weights {
		if x := float64(got[i]) / n * 16 / float64(w); math.Abs(x-1) > 0.09 {
			t.Errorf("host %d of weight %d gets %.2f of its share", i, w, x)
		}
	}
}
