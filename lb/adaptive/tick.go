package adaptive

import (
	"time"

	"lars.internal/lb"
)

const (
	turnEvery     = 500 * time.Millisecond // between two looks at the generations
	maxStall      = 500 * time.Millisecond
	stallFactor   = 8                // latencies without an answer that are a stall
	generations   = 4                // latencies that a generation of calls lasts at least
	maxGeneration = 8 * time.Minute  // half of the time after which host.generation wraps
	forgetAfter   = 30 * time.Second // calls of a host that answers nothing

	// lossLimit is the share of lost reports, one in so many, above which
	// latencies do not follow from the calls in flight: at 1 % they are worse
	// than none.
	lossLimit  = 1000
	lossMemory = 1 << 16 // outcomes
)

// Tick ends ramps, suspects hosts that owe answers, asks for probes, begins
// trials, forgets calls that nobody will report, and moves the share of refused
// picks.
func (b *Balancer) Tick(now time.Duration) time.Duration {
	b.seen = now
	b.moveShed(now)
	turn := now >= b.nextTurn
	if turn {
		b.nextTurn = now + turnEvery
	}
	next := b.tickBase(now)
	for i := range b.hosts {
		next = min(next, b.tickHost(int32(i), turn, now))
	}
	if turn && b.checkLosses() {
		next = now + lb.TickAfter // other latencies, other stalls
	}
	if b.shed|b.limit != 0 {
		next = min(next, b.nextShed)
	}
	return next
}

// tickBase asks for the first probes of hosts that joined, spread over time.
func (b *Balancer) tickBase(now time.Duration) time.Duration {
	for len(b.base) > 0 {
		if now < b.nextBase {
			return b.nextBase
		}
		id := b.base[len(b.base)-1]
		b.nextBase += b.baseGap
		b.base = b.base[:len(b.base)-1]
		if i := int32(b.index.Find(b.ids, id)); i >= 0 && !b.hosts[i].has(probing|trusted) {
			b.probe(i, now-baseTime)
		}
	}
	return lb.Never
}

// tickHost does what is due of one host and returns when it is due again.
func (b *Balancer) tickHost(i int32, turn bool, now time.Duration) time.Duration {
	h := &b.hosts[i]
	if turn && h.inFlight > 0 {
		b.turnGeneration(h, now)
	}
	next := lb.Never
	if h.inFlight > 0 {
		next = b.nextTurn
	}
	if h.state == up {
		return min(next, b.tickUp(i, now))
	}
	return min(next, b.tickOut(i, now))
}

func (b *Balancer) tickUp(i int32, now time.Duration) time.Duration {
	h := &b.hosts[i]
	next := lb.Never
	if h.inFlight > 0 && !h.has(suspect) && b.cfg.Probe {
		next = b.stall(i, now)
	}
	if h.cold == 0 {
		return next
	}
	if h.has(ramping) {
		if end := b.coldOf(i).rampFrom + b.cfg.Ramp; now >= end {
			h.clear(ramping)
			b.chill(i).owed = 0
		} else {
			next = min(next, end)
		}
	}
	if h.row >= b.doubt && h.inFlight == 0 && !h.has(measure) {
		if b.mayTest(i, now) {
			h.set(measure)
		} else {
			next = min(next, b.testAt(i, now))
		}
	}
	if b.plain(i, now) {
		b.warm(i)
	}
	return next
}

// stall suspects a host that owes an answer for too long, and returns when it
// would be.
func (b *Balancer) stall(i int32, now time.Duration) time.Duration {
	h := &b.hosts[i]
	owes := time.Duration(toMS(now)-h.quiet) * time.Millisecond
	latency := time.Duration(h.latency) * time.Microsecond
	limit := max(b.cfg.StallMin, min(stallFactor*latency, maxStall))
	if owes <= limit {
		return now.Truncate(time.Millisecond) + limit.Truncate(time.Millisecond) + time.Millisecond - owes
	}
	if calm := b.coldOf(i).calm; now < calm {
		return calm
	}
	b.suspect(i, stalled, now)
	return lb.Never
}

func (b *Balancer) tickOut(i int32, now time.Duration) time.Duration {
	h, c := &b.hosts[i], b.coldOf(i)
	switch {
	case h.state == trial || h.has(probing):
		return lb.Never
	case now < c.nextProbe:
		return c.nextProbe
	case c.reason == dead && b.cfg.Probe:
		b.probe(i, max(c.since, c.heard))
		return lb.Never
	case h.drained():
		return lb.Never
	case b.mayTest(i, now):
		b.beginTrial(i, now)
		return lb.Never
	}
	return b.testAt(i, now)
}

// turnGeneration forgets the calls of the older generation that nobody has
// reported, if the host has answered others since: the calls of a hung host
// count for half a minute, or it would look idle.
func (b *Balancer) turnGeneration(h *host, now time.Duration) {
	at := toGeneration(toUS(now))
	age := time.Duration(at-h.generation) * time.Second / 64
	if age < min(generations*time.Duration(h.latency)*time.Microsecond, maxGeneration) {
		return
	}
	if !h.has(answered) && time.Duration(toMS(now)-h.quiet)*time.Millisecond <= forgetAfter {
		return
	}
	h.generation = at
	b.counters.Forgotten += uint64(h.older)
	b.turnForgotten += uint64(h.older)
	h.integrate(uint32(toUS(now)))
	h.inFlight -= min(h.older, h.inFlight)
	h.older = h.inFlight
	h.clear(answered)
}

// checkLosses turns Little's law off where too many reports are lost, until it
// is half as many. What was learned by it is void then, and it reports so.
func (b *Balancer) checkLosses() (void bool) {
	off := b.turnForgotten*lossLimit > b.turnEnds
	if void = off && b.littleUsed; void {
		if mean, ok := b.meanLatency(); ok {
			for i := range b.hosts {
				b.hosts[i].latency = mean
			}
		}
		b.littleUsed = false
	}
	b.littleOff = off || b.littleOff && 2*b.turnForgotten*lossLimit > b.turnEnds
	if b.turnEnds > lossMemory {
		b.turnEnds, b.turnForgotten = b.turnEnds/2, b.turnForgotten/2
	}
	return void
}
