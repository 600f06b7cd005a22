package reactor

import (
	"net/netip"
	"slices"
)

// choice is the order in which a client tries the addresses of a service. A
// client has a preferred one, drawn at random when it first knows them, so that
// the clients of a fleet spread over all. A round tries the preferred one first
// and the others in a random order; the address whose connection ended last
// comes at the end, since it is the one that is known to be in trouble.
//
// Pure: no I/O, no clock. Owned by the loop goroutine.
type choice struct {
	random func() float64 // in [0, 1)

	known     []netip.AddrPort // as last looked up, without duplicates
	preferred netip.AddrPort   // one of known; invalid before the first round
	ended     netip.AddrPort   // whose connection ended last
	round     []netip.AddrPort // still to be tried
}

// begin begins a round among addrs, of which there is at least one. The
// preferred one stays what it was as long as it is among them.
func (c *choice) begin(addrs []netip.AddrPort) {
	c.know(addrs)
	c.round = slices.Clone(c.known)
	for i := range c.round {
		j := i + c.draw(len(c.round)-i)
		c.round[i], c.round[j] = c.round[j], c.round[i]
	}
	c.move(c.preferred, 0)
	c.move(c.ended, len(c.round)-1)
}

// know takes what a lookup found.
func (c *choice) know(addrs []netip.AddrPort) {
	c.known = c.known[:0]
	for _, a := range addrs {
		if !slices.Contains(c.known, a) {
			c.known = append(c.known, a)
		}
	}
	if !slices.Contains(c.known, c.preferred) {
		c.preferred = c.known[c.draw(len(c.known))]
	}
}

// move puts an address of the round to a place in it, if it is in the round.
func (c *choice) move(a netip.AddrPort, to int) {
	if at := slices.Index(c.round, a); at >= 0 {
		c.round = slices.Insert(slices.Delete(c.round, at, at+1), to, a)
	}
}

// draw returns a number from 0 to n - 1.
func (c *choice) draw(n int) int { return min(int(c.random()*float64(n)), n-1) }

// next returns the next address of the round, false at its end.
func (c *choice) next() (netip.AddrPort, bool) {
	if len(c.round) == 0 {
		return netip.AddrPort{}, false
	}
	a := c.round[0]
	c.round = c.round[1:]
	return a, true
}

// end notes that the connection to an address ended. What is left of the round
// is dropped.
func (c *choice) end(a netip.AddrPort) { c.ended, c.round = a, nil }
