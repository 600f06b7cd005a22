package adaptive

import (
	"math"
	"slices"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

const (
	maxSilent      = 3                // probes without an answer in a row that count as one refused
	proven         = time.Second      // for so long an answered probe proves that probes work
	calmGood       = time.Second      // no suspicion after a good probe
	calmUntrusted  = 10 * time.Second // no suspicion of a host whose probes mean nothing
	calmUndecided  = 5 * time.Second  // no suspicion after probes that no host answered
	baseAgain      = time.Second      // after a first probe that could not be made
	deadForLong    = 5 * time.Minute  // from then on a dead host is probed less and less
	maxProbeGap    = 15 * time.Second
	probeGapDouble = time.Minute
)

// Probes appends the hosts that are to be connected to now.
func (b *Balancer) Probes(dst []lb.Probe) []lb.Probe {
	dst = append(dst, b.probes...)
	b.probes = b.probes[:0]
	return dst
}

// probeNow asks for a probe of a host that is not being probed, as the first
// attempt.
func (b *Balancer) probeNow(i int32) {
	if h := &b.hosts[i]; b.cfg.Probe && !h.has(probing) {
		b.chill(i).silent = 0
		b.probe(i, b.seen)
	}
}

// probe asks for the answer of the host to a connect that began at a moment or
// later.
func (b *Balancer) probe(i int32, since time.Duration) {
	b.hosts[i].set(probing)
	b.probes = append(b.probes, lb.Probe{Host: b.ids[i], Since: since})
}

// suspect has a host in rotation probed.
func (b *Balancer) suspect(i int32, why charge, now time.Duration) {
	h := &b.hosts[i]
	if !b.cfg.Probe || h.state != up || h.has(probing) || now < b.coldOf(i).calm {
		return
	}
	h.set(suspect)
	b.probeNow(i)
	c := b.chill(i)
	c.suspected, c.charge = now, why
}

// clearSuspicion ends a suspicion without an ejection, and allows none until a
// time.
func (b *Balancer) clearSuspicion(i int32, until time.Duration) {
	b.hosts[i].clear(suspect)
	b.chill(i).calm = until
}

// Probed takes the answer to a probe.
func (b *Balancer) Probed(id route.Host, answer lb.Answer, now time.Duration) {
	b.seen = now
	b.countAnswer(answer)
	if answer == lb.ProbeOK || answer == lb.ProbeRefused {
		b.answered = now
	}
	i := int32(b.index.Find(b.ids, id))
	if i < 0 {
		return
	}
	h := &b.hosts[i]
	h.clear(probing)
	if answer == lb.ProbeOK {
		h.set(trusted)
	}
	if id == b.control {
		b.controlled(answer, now)
	}
	switch {
	case answer == lb.ProbeNone:
		b.probeLater(i, now)
	case h.state == up:
		b.probedUp(i, answer, now)
	case b.coldOf(i).reason == rate:
		b.probedBroken(i, answer, now)
	default:
		b.probedDead(i, answer, now)
	}
}

func (b *Balancer) countAnswer(answer lb.Answer) {
	switch answer {
	case lb.ProbeOK:
		b.counters.ProbesOK++
	case lb.ProbeRefused:
		b.counters.ProbesRefused++
	case lb.ProbeSilent:
		b.counters.ProbesSilent++
	}
}

// probeLater takes the answer to a probe that could not be made.
func (b *Balancer) probeLater(i int32, now time.Duration) {
	h := &b.hosts[i]
	switch {
	case h.has(suspect):
		b.clearSuspicion(i, now+calmGood)
	case h.state != up && b.coldOf(i).reason == dead:
		b.chill(i).nextProbe = now + b.random.jitter(b.cfg.ProbeInterval)
	}
	if id := b.ids[i]; b.cfg.Probe && !h.has(trusted) && !slices.Contains(b.base, id) {
		if len(b.base) == 0 {
			b.nextBase = now + baseAgain
		}
		b.base = append(b.base, id)
	}
}

// probedUp decides about a suspect. A probe that fails counts only where probes
// are known to work.
func (b *Balancer) probedUp(i int32, answer lb.Answer, now time.Duration) {
	h := &b.hosts[i]
	switch {
	case !h.has(suspect):
		// The first probe of the host, or a call has worked meanwhile.
	case answer == lb.ProbeOK:
		b.clearSuspicion(i, now+calmGood)
	case !b.tells(h):
		b.clearSuspicion(i, now+calmUntrusted)
	case answer == lb.ProbeRefused:
		b.ejectDead(i, byRefusal, now)
	case b.again(i):
	case now-b.answered > proven && b.askControl(i):
	default:
		b.ejectDead(i, bySilence, now)
	}
}

// again probes a host once more that has not answered, and reports whether it
// has not been silent often enough to count.
func (b *Balancer) again(i int32) bool {
	c := b.chill(i)
	if c.silent++; c.silent >= maxSilent {
		return false
	}
	b.probe(i, b.seen)
	return true
}

// probedBroken takes the answer of a host whose calls failed: it may be gone
// instead of broken.
func (b *Balancer) probedBroken(i int32, answer lb.Answer, now time.Duration) {
	h := &b.hosts[i]
	if answer == lb.ProbeOK || !b.tells(h) || answer == lb.ProbeSilent && b.again(i) {
		return
	}
	c := b.chill(i)
	c.reason, c.nextProbe = dead, now+firstProbe
	c.why.cause, c.why.charge = byRefusal, failing
	if answer == lb.ProbeSilent {
		c.why.cause = bySilence
	}
	c.why.row, c.why.after = uint8(min(c.why.failures, math.MaxUint8)), now-c.since
	if h.state == trial {
		h.state, c.busy = out, false
	}
	b.rebuild()
}

// probedDead takes the answer of a host that is ejected as dead.
func (b *Balancer) probedDead(i int32, answer lb.Answer, now time.Duration) {
	c := b.chill(i)
	c.heard = now
	back := c.since + hold(c.level)
	switch {
	case answer != lb.ProbeOK:
		c.tries = min(c.tries, 250) + 1
		c.nextProbe = now + b.random.jitter(b.probeGap(c.tries, now-c.since))
	case now < back:
		c.nextProbe = max(now+firstProbe, back)
	default:
		b.reinstate(i, now, lb.Event{Kind: lb.OnTrial, Reason: "connects answered", Value: 1, Sign: ">=", Limit: 1})
	}
}

// probeGap returns the mean time to the next probe of a host that was probed so
// often and is dead for so long.
func (b *Balancer) probeGap(tries uint8, age time.Duration) time.Duration {
	gap := b.cfg.ProbeInterval
	switch {
	case tries < 2:
		return gap / 4 << tries
	case age < deadForLong:
		return gap
	}
	return max(gap, min(gap<<min((age-deadForLong)/probeGapDouble, 4), maxProbeGap))
}

func (b *Balancer) ejectDead(i int32, why cause, now time.Duration) {
	event := lb.Event{Reason: "connects refused", Value: 1, Sign: ">=", Limit: 1}
	if why == bySilence {
		event = lb.Event{Reason: "connects not answered", Value: maxSilent, Sign: ">=", Limit: maxSilent}
	}
	h, c := &b.hosts[i], b.coldOf(i)
	b.eject(i, dead, now, decision{
		cause: why, charge: c.charge, row: h.row, after: now - c.suspected,
		calls: h.calls, failures: h.failures,
	}, event)
}

// tells reports whether a connect that fails says something of the host: it has
// answered one before, or no call to it has ever worked while connects to others
// do.
func (b *Balancer) tells(h *host) bool {
	if h.has(trusted) || h.has(worked) {
		return h.has(trusted)
	}
	for i := range b.hosts {
		if b.hosts[i].has(trusted) {
			return true
		}
	}
	return false
}

// askControl makes a silent host wait for the answer of another one, which tells
// whether probes get anywhere at all: the fault may be on this side. It reports
// whether there is such a host. The one that had a success last is asked.
func (b *Balancer) askControl(i int32) bool {
	if b.control == (route.Host{}) {
		j := b.controlFor(i)
		if j == none {
			return false
		}
		b.control = b.ids[j]
		if !b.hosts[j].has(probing) {
			b.probe(j, b.seen)
		}
	}
	b.hosts[i].set(probing)
	b.chill(i).waiting = true
	return true
}

// controlFor returns the host in rotation, other than i, that answered a call last
// and has answered a probe before.
func (b *Balancer) controlFor(i int32) int32 {
	best, least := none, uint32(math.MaxUint32)
	for j := range b.hosts {
		h := &b.hosts[j]
		if int32(j) == i || h.state != up || !h.has(trusted) || b.coldOf(int32(j)).waiting {
			continue
		}
		age := uint32(math.MaxUint32)
		if h.has(worked) {
			age = toMS(b.seen) - h.lastOK
		}
		if best == none || age < least {
			best, least = int32(j), age
		}
	}
	return best
}

// controlled ends the wait of the hosts that wait for the control probe. If it
// was silent too, nothing is said of them.
func (b *Balancer) controlled(answer lb.Answer, now time.Duration) {
	b.control = route.Host{}
	for i := range b.hosts {
		h := &b.hosts[i]
		if c := b.coldOf(int32(i)); !c.waiting {
			continue
		}
		b.chill(int32(i)).waiting = false
		h.clear(probing)
		switch {
		case h.state != up || !h.has(suspect):
		case answer == lb.ProbeSilent || answer == lb.ProbeNone:
			b.clearSuspicion(int32(i), now+calmUndecided)
		default:
			b.ejectDead(int32(i), bySilence, now)
		}
	}
}
