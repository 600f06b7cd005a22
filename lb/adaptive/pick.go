package adaptive

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

const (
	// suspectLoad is how much worse a suspect or doubtful host looks. It is not
	// excluded: a success must still be able to clear it.
	suspectLoad = 16

	// callCost is added to each latency, us, so that a host of no latency at
	// all does not get every call.
	callCost = 50
)

// Pick returns the better one of two hosts drawn by weight, a call of a trial,
// or a refusal.
func (b *Balancer) Pick(now time.Duration, avoid route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	not := none
	if avoid != (route.Host{}) {
		not = int32(b.index.Find(b.ids, avoid))
	}
	i := none
	if len(b.trials) != 0 {
		i = b.pickTrial(now, not)
	}
	if i == none {
		if len(b.rot) == 0 {
			return route.Host{}, 0, b.refusal()
		}
		if b.shed != 0 && uint32(b.random.next()) < b.shed {
			b.counters.ShedPicks++
			return route.Host{}, 0, lb.Overloaded
		}
		if i = b.choose(now, not); b.panicky {
			b.counters.PanicPicks++
		}
	}
	return b.ids[i], b.begin(i, now), lb.Picked
}

// begin counts a call to host i as begun.
func (b *Balancer) begin(i int32, now time.Duration) lb.Ticket {
	us := toUS(now)
	h := &b.hosts[i]
	h.begin(us)
	h.clear(measure)
	b.picks++
	return lb.TicketAt(now)
}

// Assign counts a call that was picked elsewhere. It tests a host on trial as a
// call that was picked here does.
func (b *Balancer) Assign(id route.Host, now time.Duration) lb.Ticket {
	i := int32(b.index.Find(b.ids, id))
	if i < 0 {
		return 0
	}
	if c := b.coldOf(i); b.hosts[i].state == trial && !c.awaits(now) {
		b.chill(i).await(now)
	}
	return b.begin(i, now)
}

func (b *Balancer) refusal() lb.Verdict {
	if len(b.hosts) == 0 {
		return lb.NoHosts
	}
	return lb.Overloaded
}

// choose returns the better one of two hosts of a zone; not the one to avoid,
// if there is another in rotation.
func (b *Balancer) choose(now time.Duration, not int32) int32 {
	lo, n := b.zone(not)
	x, y := b.drawTwo(lo, n)
	if (b.hosts[x].flags|b.hosts[y].flags)&(ramping|probation) != 0 {
		x, y = b.admit(x, lo, n, now), b.admit(y, lo, n, now)
	}
	if not != none && n > 1 && (x == not || y == not) {
		x = b.instead(x, not, y, lo, n)
		y = b.instead(y, not, x, lo, n)
	}
	if x != y && b.load(&b.hosts[y]) < b.load(&b.hosts[x]) {
		return y // a tie goes to x: else the order of hosts would be a bias
	}
	return x
}

// zone draws the part of rot to pick from: the local hosts or the others, but
// not a part that has only the host to avoid.
func (b *Balancer) zone(not int32) (lo, n int) {
	if b.local == len(b.rot) {
		return 0, b.local
	}
	local := uint32(b.random.next()) < b.share
	if not != none && b.local > 0 {
		local = local && (b.local > 1 || b.rot[0] != not) || len(b.rot)-b.local == 1 && b.rot[b.local] == not
	}
	if local {
		return 0, b.local
	}
	b.counters.RemotePicks++
	return b.local, len(b.rot) - b.local
}

// instead returns candidate x, or, if that is the host to avoid, another one of
// the part: if it can, one that differs from the other candidate.
func (b *Balancer) instead(x, not, other int32, lo, n int) int32 {
	if x != not {
		return x
	}
	for range 4 {
		if x = b.draw(lo, n, uint32(b.random.next())); x != not && x != other {
			return x
		}
	}
	at := b.random.below(n)
	for k := range n {
		if x = b.rot[lo+(at+k)%n]; x != not && x != other {
			return x
		}
	}
	return other
}

// load is what candidates are compared by; less is better.
func (b *Balancer) load(h *host) float32 {
	c := h.latency
	if h.row >= b.doubt {
		if h.has(measure) {
			return 0
		}
		c *= suspectLoad
	} else if h.inFlight == 0 {
		if gone := uint32(b.picks) - h.lastPick; gone > b.halve {
			c /= float32(uint32(1) << min(gone/b.halve, 30))
		}
	}
	l := (c + callCost) * (1 + float32(h.inFlight)*h.perCall)
	if h.has(suspect) {
		l *= suspectLoad
	}
	return l
}
