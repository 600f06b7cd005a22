package adaptive

import (
	"math"

	"lars.internal/lb"
)

// Shares appends each host with the share of the picks that it gets, as follows
// from the latencies: of two candidates the one with less wins, and the calls in
// flight of busy services smooth that to the ratio of the squares. The shares
// add up to 1 less what is refused. Takes time in proportion to the number of
// hosts.
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

// class is the hosts whose costs lie within a quarter of an octave.
type class struct {
	weight float64
	square float64 // of the mean cost
}

// classes are all hosts of a part of rot by cost: quarters of octaves from
// callCost on, 30 octaves of them.
type classes struct {
	of   [128]class
	used [128]uint8 // the first n of them, in the order of their appearance
	n    int
}

// classOf returns the class of a cost: the exponent and the first two binary
// places.
func classOf(cost float64) uint8 {
	at := func(c float64) int { return int(math.Float32bits(float32(c)) >> 21) }
	return uint8(min(max(at(cost)-at(callCost), 0), 127))
}

func (c *classes) add(cost, weight float64) {
	k := &c.of[classOf(cost)]
	if k.weight == 0 {
		c.used[c.n] = classOf(cost)
		c.n++
	}
	k.weight += weight
	k.square += weight * cost // the sum, until close
}

func (c *classes) close() {
	for _, at := range c.used[:c.n] {
		k := &c.of[at]
		mean := k.square / k.weight
		k.square = mean * mean
	}
}

// wins returns the weight of the hosts that a host with this cost wins against.
func (c *classes) wins(cost float64) float64 {
	sum, square := 0.0, cost*cost
	for _, at := range c.used[:c.n] {
		k := &c.of[at]
		sum += k.weight * k.square / (square + k.square)
	}
	return sum
}

// shareOf divides a share of the picks between the hosts of one zone.
func (b *Balancer) shareOf(dst []lb.Share, rot []int32, share float64) {
	var c classes
	for _, i := range rot {
		c.add(b.cost(i), b.hosts[i].weight())
	}
	c.close()
	sum := 0.0
	for _, i := range rot {
		h, cost := &b.hosts[i], b.cost(i)
		wins := c.wins(cost)
		if len(rot) > 1 && (len(b.alias) == 0 || h.has(suspect) || h.row > 0) { // never both candidates
			square := c.of[classOf(cost)].square
			wins -= h.weight() * square / (cost*cost + square)
		}
		dst[i].Share = h.weight() * max(wins, 0)
		if h.has(ramping) {
			dst[i].Share *= b.ramped(i, b.seen)
		}
		sum += dst[i].Share
	}
	for _, i := range rot {
		dst[i].Share *= share / sum
	}
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
