package adaptive

import (
	"time"

	"lars.internal/lb"
)

const (
	firstProbe = 250 * time.Millisecond // after an ejection as dead
	firstTest  = time.Second            // after an ejection by rate, and after a doubtful failure
)

// eject takes a host out of rotation, or ends its trial.
func (b *Balancer) eject(i int32, r reason, now time.Duration, why decision, event lb.Event) {
	c := b.chill(i)
	h := &b.hosts[i]
	b.raiseLevel(h, c, now)
	if h.failures > 0 {
		why.window = now - b.windowOpened(h, now)
	}
	if c.waiting {
		h.clear(probing)
	}
	h.state = out
	h.clear(suspect | ramping | measure | probation)
	h.closeWindow()
	h.row = 0
	c.reason, c.since, c.why = r, now, why
	c.tries, c.busy, c.tested, c.failed, c.waiting, c.returned = 0, false, 0, 0, false, false
	c.outPicks = b.picks
	c.ejections++
	if r == rate {
		b.counters.EjectedRate++
		c.nextProbe = now + b.random.jitter(firstTest)
		b.probeNow(i) // is it broken, or gone?
	} else {
		b.counters.EjectedDead++
		c.nextProbe = now + max(firstProbe, b.random.jitter(hold(c.level)))
	}
	b.rebuild()
	event.Host = b.ids[i]
	b.happened(event)
	if b.panicky {
		b.happened(lb.Event{Host: event.Host, Kind: lb.Panic, Reason: "hosts in rotation", Value: 0, Sign: "<", Limit: 1})
	}
}

// raiseLevel raises the level of holding back if the host was ejected soon
// after its return, and lowers it for the minutes in rotation. A failed trial is
// no return, but where connects tell nothing it is all that paces the next one.
func (b *Balancer) raiseLevel(h *host, c *cold, now time.Duration) {
	in := now - c.since
	switch {
	case h.state == trial && c.reason == dead, h.state == up && c.ejections > 0 && in < levelTime:
		c.level = min(c.level+1, maxLevel)
	case h.state == up:
		c.level -= uint8(min(time.Duration(c.level), in/levelTime))
	}
}

// windowOpened returns when the window of the host was opened, to the second.
func (b *Balancer) windowOpened(h *host, now time.Duration) time.Duration {
	s := uint64(now) / 1e9
	return time.Duration(s-uint64(uint16(s)-h.opened)) * time.Second
}
