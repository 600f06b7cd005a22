package reactor

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// rounds returns the order of the next round.
func (c *choice) rounds(addrs []netip.AddrPort) (order []netip.AddrPort) {
	c.begin(addrs)
	for {
		a, ok := c.next()
		if !ok {
			return order
		}
		order = append(order, a)
	}
}

func TestChoiceOrder(t *testing.T) {
	a := addrsN(3)
	c := choice{random: func() float64 { return 0 }}
	if got := c.rounds(slices.Concat(a, a)); !slices.Equal(got, a) {
		t.Errorf("first round %v, want each once: %v", got, a)
	}
	c.end(a[0])
	if got, want := c.rounds(a), []netip.AddrPort{a[1], a[2], a[0]}; !slices.Equal(got, want) {
		t.Errorf("after the connection to the preferred one ended: %v, want %v", got, want)
	}
	c.end(a[1])
	if got, want := c.rounds(a), []netip.AddrPort{a[0], a[2], a[1]}; !slices.Equal(got, want) {
		t.Errorf("after the connection to another one ended: %v, want %v", got, want)
	}
	if got := c.rounds(a[1:]); len(got) != 2 || c.preferred != a[1] {
		t.Errorf("without the preferred one: %v, now preferred %v", got, c.preferred)
	}
	c.end(a[2])
	if got, want := c.rounds(a[2:]), a[2:]; !slices.Equal(got, want) {
		t.Errorf("the only one: %v, want %v", got, want)
	}
}

// All clients of a fleet began with the first address, and after its restart all
// were at the second one, for good.
func TestFinding04ClientsSpreadOverAllServers(t *testing.T) {
	const clients = 3000
	a := addrsN(3)
	random := rand.New(rand.NewPCG(1, 2))
	first, second := make(map[netip.AddrPort]int), make(map[netip.AddrPort]int)
	for range clients {
		c := choice{random: random.Float64}
		order := c.rounds(a)
		first[order[0]]++
		if order[0] != a[0] {
			continue
		}
		c.end(a[0])
		second[c.rounds(a)[0]]++
		c.end(a[1])
		if back := c.rounds(a)[0]; back != a[0] {
			t.Fatalf("prefers %v now, want %v", back, a[0])
		}
	}
	for _, addr := range a {
		if n := first[addr]; n < clients/3-150 || n > clients/3+150 {
			t.Errorf("%d of %d clients begin with %v, want a third", n, clients, addr)
		}
	}
	if second[a[0]] != 0 || second[a[1]] < 400 || second[a[2]] < 400 {
		t.Errorf("the clients of a server that ended went to %v, want half to each of the others", second)
	}
}
