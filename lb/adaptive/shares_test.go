package adaptive

import (
	"math"
	"testing"

	"lars.internal/lb"
	"lars.internal/route"
)

// pairwise is what Shares says, by comparing each host with each other one.
func (s *subject) pairwise() []float64 {
	shares, sum := make([]float64, len(s.hosts)), 0.0
	for _, i := range s.rot {
		h := &s.hosts[i]
		for _, j := range s.rot {
			if x, y := s.cost(i), s.cost(j); i != j || s.uneven && h.row == 0 && !h.has(suspect) {
				shares[i] += h.weight() * s.hosts[j].weight() * y * y / (x*x + y*y)
			}
		}
		sum += shares[i]
	}
	for i := range shares {
		shares[i] /= sum
	}
	return shares
}

// TestSharesEqualPairwise: classes of costs lose little.
func TestSharesEqualPairwise(t *testing.T) {
	for _, n := range []int{2, 3, 10, 100} {
		for _, weights := range [][]uint32{nil, {1, 2, 4}} {
			s := newSubject(t, n, nil, weights...)
			r := random(5)
			for i := range s.hosts {
				s.hosts[i].latency = float32(1000 * math.Pow(30, r.float()))
			}
			s.hosts[0].row = s.doubt
			s.hosts[1].set(suspect)
			for i, want := range s.pairwise() {
				if got := s.Shares(nil)[i].Share; math.Abs(got-want) > 0.1*want+0.001 {
					t.Errorf("%d hosts, weights %v: host %d gets %.4f, pairwise %.4f", n, weights, i, got, want)
				}
			}
		}
	}
}

// TestSharesOfAPair: of two equal hosts each gets half; one of two that is
// suspect gets next to nothing; the only host gets all.
func TestSharesOfAPair(t *testing.T) {
	s := newSubject(t, 2, nil)
	if got := s.Shares(nil); got[0].Share != 0.5 || got[1].Share != 0.5 {
		t.Errorf("equal hosts: %v", got)
	}
	s.host(0).set(suspect)
	if got := s.Shares(nil)[0].Share; got > 0.01 {
		t.Errorf("a suspect gets %v", got)
	}
	s = newSubject(t, 1, nil)
	if got := s.Shares([]lb.Share{{}})[1].Share; got != 1 {
		t.Errorf("the only host gets %v", got)
	}
}

// TestSharesFollowPicks: in a busy service the shares are about what the hosts
// get.
func TestSharesFollowPicks(t *testing.T) {
	for _, slow := range []float64{1, 2, 5} {
		s := newSubject(t, 5, nil)
		got := s.callFor(slow, 20_000)
		if want := s.Shares(nil)[0].Share; got < want/2 || got > 2*want {
			t.Errorf("host 0 takes %v times as long: it gets %.3f, the share says %.3f", slow, got, want)
		} else {
			t.Logf("host 0 takes %v times as long: it gets %.3f, the share says %.3f", slow, got, want)
		}
	}
}

// callFor makes n calls of 5 ms, 1,000 a second; those of host 0 take so many times
// as long. It returns the share of host 0 in the second half.
func (s *subject) callFor(slow float64, n int) float64 {
	type call struct {
		host   route.Host
		ticket lb.Ticket
		left   int // ms
	}
	var flying []call
	got := 0
	for k := range n {
		h, ticket, _ := s.Pick(s.now, route.Host{})
		c := call{h, ticket, 5}
		if s.number(h) == 0 {
			c.left = int(5 * slow)
			if k >= n/2 {
				got++
			}
		}
		flying = append(flying, c)
		s.now += ms
		left := flying[:0]
		for _, c := range flying {
			if c.left--; c.left > 0 {
				left = append(left, c)
			} else {
				s.Observe(c.host, lb.Outcome{OK: 1, Ticket: c.ticket}, s.now)
			}
		}
		flying = left
	}
	return float64(got) / float64(n/2)
}
