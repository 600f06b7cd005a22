package adaptive

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// baseTime is the time in which hosts that joined are probed for the first
// time, one after the other.
const baseTime = 10 * time.Second

// freshLatency is what the latency of a host is taken for before anything is
// known, us.
const freshLatency = 1000

// freshRate is the error rate of a host before anything is known: until some
// 200 calls are seen, nobody is judged by the rate that is granted.
const freshRate = 0.05

// Update takes time in proportion to the number of hosts. The hosts of the first
// Update have their full share at once; one that joins later begins on a ramp.
func (b *Balancer) Update(endpoints []route.Endpoint, now time.Duration) {
	b.seen = now
	b.reserve(len(endpoints))
	first := !b.started
	b.started = b.started || len(endpoints) > 0
	newcomers := len(b.hosts)
	for i := range endpoints {
		e := &endpoints[i]
		at := int32(b.index.Find(b.ids, e.Host))
		if at < 0 {
			at = b.add(e.Host, now)
		}
		if !b.hosts[at].has(kept) {
			b.hosts[at].set(kept)
			b.place(at, e, now, first || int(at) >= newcomers)
		}
	}
	if !first {
		for i := newcomers; i < len(b.hosts); i++ {
			b.join(int32(i), now)
		}
	}
	joined := len(b.hosts) - newcomers
	b.sweep(now)
	b.relate()
	b.rebuild()
	b.baseProbes(joined, now)
}

// place gives the host the weight and the zone of the endpoint. A host that was
// drained and is called again begins on a ramp. perCall holds the bare weight
// until relate.
func (b *Balancer) place(i int32, e *route.Endpoint, now time.Duration, fresh bool) {
	h := &b.hosts[i]
	if !fresh && h.drained() && e.Weight > 0 && h.state == up {
		b.join(i, now)
	}
	h.perCall = float32(e.Weight)
	b.zones[i] = e.Zone
	b.locate(i)
}

// locate notes whether the host is in the zone of this machine.
func (b *Balancer) locate(i int32) {
	h := &b.hosts[i]
	h.clear(remote)
	if b.cfg.Zone != "" && b.zones[i] != b.cfg.Zone {
		h.set(remote)
	}
}

// relate turns the bare weights into shares of the mean weight.
func (b *Balancer) relate() {
	sum := 0.0
	b.uneven = false
	first := float32(0)
	for i := range b.hosts {
		w := b.hosts[i].perCall
		sum += float64(w)
		if w == 0 {
			continue
		}
		b.uneven = b.uneven || first != 0 && w != first
		first = w
	}
	for i := range b.hosts {
		if h := &b.hosts[i]; h.perCall != 0 {
			h.perCall = float32(sum / float64(len(b.hosts)) / float64(h.perCall))
		}
	}
}

// reserve makes room for n hosts in one step, so that neither a pick nor an
// outcome allocates.
func (b *Balancer) reserve(n int) {
	if n > cap(b.hosts) {
		b.hosts = append(make([]host, 0, n), b.hosts...)
		b.ids = append(make([]route.Host, 0, n), b.ids...)
		b.added = append(make([]time.Duration, 0, n), b.added...)
		b.zones = append(make([]string, 0, n), b.zones...)
	}
	if n > cap(b.rot) {
		b.rot, b.trials = make([]int32, 0, n), make([]int32, 0, n)
		b.keep, b.alias = make([]uint32, 0, n), make([]int32, 0, n)
		b.scratch = scratch{
			rates: make([]float64, 0, n), weights: make([]float64, 0, n),
			small: make([]int32, 0, n), large: make([]int32, 0, n),
		}
	}
	if spare := min(n, 4); len(b.cold) == 1 && spare > 0 {
		b.cold = append(make([]cold, 0, 1+spare), cold{})
	}
	if !b.index.Fits(n) {
		b.index.Rebuild(b.ids, n)
	}
}

// add appends a host, in rotation.
func (b *Balancer) add(id route.Host, now time.Duration) int32 {
	i := int32(len(b.hosts))
	b.hosts = append(b.hosts, host{
		latency: freshLatency, fastRate: freshRate, slowRate: freshRate,
		lastPick: uint32(b.picks),
		lastEnd:  toMS(now - 11*b.cfg.LatencyMemory),
		areaAt:   uint32(toUS(now)),
	})
	b.ids = append(b.ids, id)
	b.added = append(b.added, now)
	b.zones = append(b.zones, "")
	b.index.Appended(b.ids)
	b.base = append(b.base, id)
	return i
}

// join begins the ramp of a host that is new in a known service.
func (b *Balancer) join(i int32, now time.Duration) {
	h := &b.hosts[i]
	if mean, ok := b.meanLatency(); ok {
		h.latency = mean
	}
	h.set(ramping)
	c := b.chill(i)
	c.rampFrom, c.returned = now, false
}

// sweep takes out the hosts that Update did not name, and the marks. It goes
// backwards: the last host, which fills a gap, has been looked at before.
func (b *Balancer) sweep(now time.Duration) {
	before := len(b.hosts)
	for i := before - 1; i >= 0; i-- {
		if h := &b.hosts[i]; h.has(kept) {
			h.clear(kept)
			continue
		}
		b.remove(int32(i), now)
	}
	if len(b.hosts) == before {
		return
	}
	if cap(b.hosts) > 2*len(b.hosts) {
		b.hosts = append(make([]host, 0, len(b.hosts)), b.hosts...)
		b.ids = append(make([]route.Host, 0, len(b.ids)), b.ids...)
		b.added = append(make([]time.Duration, 0, len(b.added)), b.added...)
		b.zones = append(make([]string, 0, len(b.zones)), b.zones...)
	}
	b.index.Rebuild(b.ids, len(b.ids))
}

// remove takes host i out; the index is wrong until it is rebuilt.
func (b *Balancer) remove(i int32, now time.Duration) {
	if b.ids[i] == b.control {
		b.controlled(lb.ProbeSilent, now) // nothing is said of the hosts that wait
	}
	b.warm(i)
	last := len(b.hosts) - 1
	b.hosts[i], b.ids[i], b.added[i], b.zones[i] = b.hosts[last], b.ids[last], b.added[last], b.zones[last]
	b.hosts, b.ids, b.added, b.zones = b.hosts[:last], b.ids[:last], b.added[:last], b.zones[:last]
}

// baseProbes spreads the first probes over time, in an order drawn anew, after so
// many hosts joined. Those that wait already do not wait for longer.
func (b *Balancer) baseProbes(joined int, now time.Duration) {
	if !b.cfg.Probe {
		b.base = b.base[:0]
	}
	if joined == 0 || len(b.base) == 0 {
		return
	}
	for i := len(b.base) - 1; i > 0; i-- {
		j := b.random.below(i + 1)
		b.base[i], b.base[j] = b.base[j], b.base[i]
	}
	b.baseGap = baseTime / time.Duration(len(b.base))
	next := now + time.Duration(b.random.float()*float64(b.baseGap))
	if len(b.base) > joined {
		next = min(next, b.nextBase)
	}
	b.nextBase = next
}
