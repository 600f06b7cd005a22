package adaptive

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

const (
	minNews     = 0.05 // least weight of a new latency in the mean
	maxPenalty  = 1e6  // us; what a failure adds to a latency at most
	stale       = 10   // times LatencyMemory: then a new latency is all that counts
	lastSuccess = time.Second
)

// result is how one call ended.
type result struct {
	kind    lb.Kind
	ok      bool
	latency float32 // us; 0: not known
	told    bool    // by a ticket, when it began
	begin   uint64  // us
}

// began reports whether the call may have begun at or after a time. A late
// time-out of a call from before an ejection says nothing of a trial.
func (r *result) began(at time.Duration) bool { return !r.told || r.begin >= toUS(at) }

// Observe takes outcomes. Its effect has Asked if Probes has something new.
func (b *Balancer) Observe(id route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	i := int32(b.index.Find(b.ids, id))
	if i < 0 {
		return 0
	}
	b.seen = now
	h := &b.hosts[i]
	us, ms := toUS(now), toMS(now)
	n := o.OK + o.Failed
	if o.Kind == lb.KindIgnored {
		n = max(n, 1)
	}
	h.integrate(uint32(us))
	r := result{kind: o.Kind, told: o.Ticket != 0 && n == 1, begin: uint64(o.Ticket) - 1}
	r.latency = b.latencyOf(h, &o, &r, us, n)
	h.area = 0
	h.end(n, r.told && h.young(r.begin), ms, b.picks)
	b.turnEnds += uint64(n)
	if o.Kind == lb.KindIgnored {
		b.release(i, &r)
		return lb.Counted
	}
	for ; o.OK > 0; o.OK-- {
		r.ok = true
		b.succeeded(i, r, now, ms)
		r.latency = 0
	}
	for r.ok = false; o.Failed > 0; o.Failed-- {
		b.failed(i, r, now, ms)
		r.latency = 0
	}
	effect := lb.Counted
	if len(b.events) != 0 {
		effect |= lb.Changed
	}
	if len(b.probes) != 0 {
		effect |= lb.Asked
	}
	return effect
}

// latencyOf returns the latency of the calls, us: told, or since the pick, or by
// Little's law; 0 if it is not known.
func (b *Balancer) latencyOf(h *host, o *lb.Outcome, r *result, us uint64, n uint32) float32 {
	switch {
	case o.Latency > 0:
		return float32(o.Latency) / 1e3
	case r.told && r.begin < us:
		return float32(us - r.begin)
	case n == 0 || b.littleOff || r.told:
		return 0
	}
	b.littleUsed = true
	return h.area / float32(n)
}

// learn takes a latency into the mean of the host. A fast failure is not fast:
// it counts as twice the mean, so that a host that fails attracts no calls.
func (b *Balancer) learn(h *host, r *result, ms uint32) {
	passed := ms - h.lastEnd
	h.lastEnd = ms
	l := r.latency
	if l <= 0 {
		return
	}
	if !r.ok {
		l = max(l, min(2*h.latency, maxPenalty))
	}
	memory := uint32(b.cfg.LatencyMemory / time.Millisecond)
	if passed > stale*memory {
		h.latency = l
		return
	}
	w := float32(passed) / float32(passed+memory)
	h.latency += (l - h.latency) * max(w, minNews)
}

// succeeded takes a call that worked.
func (b *Balancer) succeeded(i int32, r result, now time.Duration, ms uint32) {
	h := &b.hosts[i]
	if b.late(i, &r) {
		r.latency = 0
	}
	b.learn(h, &r, ms)
	b.live(h, false)
	h.lastOK = ms
	h.set(worked)
	if h.row != 0 {
		b.recover(i, r, now)
	}
	if h.has(probation) && r.began(b.coldOf(i).since) {
		h.clear(probation)
	}
	if h.has(suspect) && r.began(b.coldOf(i).suspected) {
		h.clear(suspect)
		b.counters.SuspicionsCleared++
	}
	b.windowOK(h)
	if h.state != up {
		b.testOK(i, r, now)
	}
}

// recover ends a row of failures. A host that was doubtful has got few calls, so
// it begins on a ramp; but that is no return, so its evidence is not halved.
func (b *Balancer) recover(i int32, r result, now time.Duration) {
	h := &b.hosts[i]
	if h.row >= b.doubt && h.state == up {
		c := b.chill(i)
		h.set(ramping)
		c.rampFrom, c.returned = now, false
		if r.latency > 0 {
			h.latency = r.latency
		}
		if !h.has(trusted) { // its first probe may have met it dead
			b.probeNow(i)
		}
	}
	h.row = 0
	h.clear(measure)
}

// failed takes a call that failed. A host that says that it has too much to do
// is slow, not broken.
func (b *Balancer) failed(i int32, r result, now time.Duration, ms uint32) {
	h := &b.hosts[i]
	if b.late(i, &r) {
		return
	}
	b.learn(h, &r, ms)
	b.live(h, r.kind == lb.KindTimeout || r.kind == lb.KindOverloaded || r.kind == lb.KindUnknown)
	if r.kind == lb.KindOverloaded {
		b.release(i, &r)
		return
	}
	if h.row != 1<<8-1 {
		h.row++
	}
	b.windowFailed(h, now)
	switch {
	case b.inTrial(i, &r), h.has(probation) && r.began(b.coldOf(i).since):
		b.testFailed(i, r.kind, now)
	case h.state == up:
		if h.row >= b.doubt {
			c := b.chill(i)
			c.outPicks, c.nextProbe, c.doubted = b.picks, now+firstTest, chargeOf(r.kind)
		}
		b.judge(i, r.kind, now, ms)
	}
}

// late reports whether a call to a host that is back began before its ejection:
// how that ended, and how long it took, says nothing of the host as it is now.
// Of calls without a ticket the first ones that fail are taken for these, as
// many as were in flight at the return, until the ramp ends.
func (b *Balancer) late(i int32, r *result) bool {
	h := &b.hosts[i]
	if h.cold == 0 || h.state != up {
		return false
	}
	c := &b.cold[h.cold]
	if c.ejections == 0 {
		return false
	}
	if r.told {
		return !r.began(c.since)
	}
	if c.owed == 0 || r.ok {
		return false
	}
	c.owed--
	return true
}

// judge decides what a failure means for a host in rotation.
func (b *Balancer) judge(i int32, k lb.Kind, now time.Duration, ms uint32) {
	if b.weigh(i, now) {
		return
	}
	h := &b.hosts[i]
	recent := h.has(worked) && ms-h.lastOK <= uint32(lastSuccess/time.Millisecond)
	if k == lb.KindRefused || k == lb.KindTimeout || h.row >= 2 || !recent {
		b.suspect(i, chargeOf(k), now)
	}
}
