package adaptive

import (
	"lars.internal/lb"
)

// Shares appends each host with the share of the picks that it gets, as follows
// from the latencies: of two candidates the one with less wins, and the calls in
// flight of busy services smooth that to the ratio of the squares. The shares
// add up to 1 less what is refused. Takes time in proportion to the square of
// the number of hosts in rotation.
func (b *Balancer) Shares(dst []lb.Share) []lb.Share {
	from := len(dst)
	for _, id := range b.ids {
		dst = append(dst, lb.Share{Host: id})
	}
	open := 1 - float64(b.shed)/(1<<32)
	local := 1.0
	if b.local < len(b.rot) {
		local = float64(b.share) / (1<<32 - 1)
	}
	b.shareOf(dst[from:], b.rot[:b.local], open*local)
	b.shareOf(dst[from:], b.rot[b.local:], open*(1-local))
	return dst
}

// shareOf divides a share of the picks between the hosts of one zone.
func (b *Balancer) shareOf(dst []lb.Share, rot []int32, share float64) {
	sum := 0.0
	for _, i := range rot {
		wins := 0.0
		for _, j := range rot {
			wins += b.hosts[j].weight() * b.wins(i, j)
		}
		dst[i].Share = b.hosts[i].weight() * wins
		if b.hosts[i].has(ramping) {
			dst[i].Share *= b.ramped(i, b.seen)
		}
		sum += dst[i].Share
	}
	for _, i := range rot {
		dst[i].Share *= share / sum
	}
}

// wins returns the chance that host i is picked if both are candidates.
func (b *Balancer) wins(i, j int32) float64 {
	x, y := b.cost(i), b.cost(j)
	return y * y / (x*x + y*y)
}

// cost is the load of a host without its calls in flight.
func (b *Balancer) cost(i int32) float64 {
	h := &b.hosts[i]
	c := float64(h.latency) + callCost
	if h.has(suspect) || h.row >= b.doubt {
		c *= suspectLoad
	}
	return c
}
