package adaptive

import (
	"time"

	"lars.internal/lb"
)

// levelTime is the time in rotation that takes one level of holding back off,
// and after a return the time within which an ejection adds one.
const levelTime = time.Minute

// maxLevel bounds the level of holding back.
const maxLevel = 10

// admit keeps a candidate that is on its ramp with the chance that the ramp has
// reached, and one on probation only if it has no call in flight. Else it draws
// anew, three times at most; then one on probation makes way for any other.
func (b *Balancer) admit(x int32, lo, n int, now time.Duration) int32 {
	for range 3 {
		h := &b.hosts[x]
		switch {
		case h.has(probation) && h.inFlight > 0:
		case !h.has(ramping) || b.random.float() < b.ramped(x, now):
			return x
		}
		x = b.draw(lo, n, uint32(b.random.next()))
	}
	if h := &b.hosts[x]; h.has(probation) && h.inFlight > 0 && n > 1 {
		return b.instead(x, x, x, lo, n)
	}
	return x
}

// ramped returns the part of its share that a host on its ramp gets.
func (b *Balancer) ramped(i int32, now time.Duration) float64 {
	t := float64(now-b.coldOf(i).rampFrom) / float64(b.cfg.Ramp)
	return min(1, b.cfg.RampMin+(1-b.cfg.RampMin)*t)
}

// hold returns how long a host that was ejected again and again stays out
// although it answers probes.
func hold(level uint8) time.Duration {
	if level == 0 {
		return 0
	}
	return min(500*time.Millisecond<<level, 30*time.Second)
}

// reinstate puts a host into rotation, on its ramp. What its calls cost before
// it healed, and how many there were, says nothing now.
func (b *Balancer) reinstate(i int32, now time.Duration, why lb.Event) {
	h, c := &b.hosts[i], &b.cold[b.hosts[i].cold]
	if mean, ok := b.meanLatency(); ok {
		h.latency = mean
	}
	r := float32(min(0.5, b.others(i)))
	h.fastRate, h.slowRate = r, r
	h.lastPick = uint32(b.picks)
	c.owed = h.inFlight
	h.area, h.areaAt = 0, uint32(toUS(now))
	h.inFlight, h.older, h.row = 0, 0, 0
	h.closeWindow()
	h.state = up
	h.clear(measure)
	h.set(ramping)
	c.reason, c.since, c.rampFrom, c.calm, c.returned = noReason, now, now, 0, true
	c.reinstatements++
	if why.Kind == lb.OnTrial {
		h.set(probation)
	}
	b.rebuild()
	why.Host = b.ids[i]
	b.happened(why)
}

// meanLatency returns the mean latency of the hosts in rotation that had calls.
func (b *Balancer) meanLatency() (mean float32, ok bool) {
	sum, n := float32(0), float32(0)
	for i := range b.hosts {
		if h := &b.hosts[i]; h.state == up && h.has(worked) {
			sum += h.latency
			n++
		}
	}
	return sum / max(n, 1), n > 0
}
