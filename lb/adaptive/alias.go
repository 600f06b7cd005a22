package adaptive

import (
	"math"
	"math/bits"
)

// fill builds the alias table of rot[lo:hi]: a draw by weight in constant time
// (Walker 1977, Vose 1991).
func (b *Balancer) fill(lo, hi int) {
	n := hi - lo
	if n == 0 {
		return
	}
	sum := 0.0
	for _, i := range b.rot[lo:hi] {
		sum += b.hosts[i].weight()
	}
	s := &b.scratch
	s.weights, s.small, s.large = s.weights[:0], s.small[:0], s.large[:0]
	for k, i := range b.rot[lo:hi] {
		w := b.hosts[i].weight() * float64(n) / sum
		s.weights = append(s.weights, w)
		if w < 1 {
			s.small = append(s.small, int32(k))
		} else {
			s.large = append(s.large, int32(k))
		}
	}
	b.pair(lo)
	for _, rest := range [2][]int32{s.small, s.large} {
		for _, k := range rest {
			b.keep[lo+int(k)], b.alias[lo+int(k)] = math.MaxUint32, int32(lo)+k
		}
	}
}

// pair fills the places of the hosts below the mean weight with what those above
// it have too much.
func (b *Balancer) pair(lo int) {
	s := &b.scratch
	for len(s.small) > 0 && len(s.large) > 0 {
		k, l := s.small[len(s.small)-1], s.large[len(s.large)-1]
		s.small = s.small[:len(s.small)-1]
		b.keep[lo+int(k)] = chance(s.weights[k])
		b.alias[lo+int(k)] = int32(lo) + l
		if s.weights[l] -= 1 - s.weights[k]; s.weights[l] < 1 {
			s.large = s.large[:len(s.large)-1]
			s.small = append(s.small, l)
		}
	}
}

// drawTwo draws two candidates of the n hosts from rot[lo] on, by weight. If
// weights are equal they are different ones: the same host twice is no choice.
// By the alias table the same one twice stays, since a second one regardless of
// weight would favour the light hosts, unless it is in doubt.
func (b *Balancer) drawTwo(lo, n int) (x, y int32) {
	r := b.random.next()
	if len(b.alias) == 0 {
		if n == 1 {
			return b.rot[lo], b.rot[lo]
		}
		i, _ := bits.Mul32(uint32(r), uint32(n))
		j, _ := bits.Mul32(uint32(r>>32), uint32(n-1))
		if j >= i {
			j++
		}
		return b.rot[lo+int(i)], b.rot[lo+int(j)]
	}
	x, y = b.draw(lo, n, uint32(r)), b.draw(lo, n, uint32(r>>32))
	if x == y && n > 1 {
		if h := &b.hosts[x]; h.has(suspect) || h.row > 0 {
			y = b.instead(x, x, x, lo, n)
		}
	}
	return x, y
}

// draw draws one of the n hosts from rot[lo] on with 32 random bits: the high
// part of the product is the place, the low part decides about its alias.
func (b *Balancer) draw(lo, n int, r uint32) int32 {
	place, rest := bits.Mul32(r, uint32(n))
	k := lo + int(place)
	if len(b.alias) != 0 && rest > b.keep[k] {
		k = int(b.alias[k])
	}
	return b.rot[k]
}
