package adaptive

import (
	"math"
	"time"

	"lars.internal/lb"
)

const (
	trialCalls   = 20              // that a host out by rate must get through
	trialShare   = 0.05            // of the picks, at most
	trialTimeout = 5 * time.Second // after which a call of a trial counts as lost
	testAnyway   = 10 * time.Minute
)

// mayTest reports whether a host that only calls can test may be tested now,
// and notes it. At most one in TestEvery picks of the service is the beginning
// of a test, whatever the number of hosts.
func (b *Balancer) mayTest(i int32, now time.Duration) bool {
	c := b.coldOf(i)
	if now < c.nextProbe {
		return false
	}
	if b.picksLeft(c) > 0 && b.untested(i, now) < testAnyway {
		return false
	}
	b.testPicks = b.picks
	return true
}

// picksLeft returns how many picks of the service have to come before a host may
// be tested.
func (b *Balancer) picksLeft(c *cold) uint64 {
	gone := b.picks - max(c.outPicks, b.testPicks)
	return uint64(b.cfg.TestEvery) - min(gone, uint64(b.cfg.TestEvery))
}

// untested returns for how long no call can have told anything of the host.
func (b *Balancer) untested(i int32, now time.Duration) time.Duration {
	if h := &b.hosts[i]; h.state == up {
		return time.Duration(toMS(now)-h.lastEnd) * time.Millisecond
	}
	return now - b.coldOf(i).since
}

// testAt returns when a host may be tested if nothing is picked until then.
func (b *Balancer) testAt(i int32, now time.Duration) time.Duration {
	c := b.coldOf(i)
	if b.picksLeft(c) == 0 {
		return c.nextProbe
	}
	return max(c.nextProbe, now+testAnyway-b.untested(i, now))
}

// beginTrial lets single calls test an ejected host.
func (b *Balancer) beginTrial(i int32, now time.Duration) {
	c := b.chill(i)
	b.hosts[i].state, c.busy, c.trialAt = trial, false, now
	c.needed = trialCalls
	if c.reason == dead { // without probes; one success is enough
		c.needed = 1
	}
	b.counters.Trials++
	b.rebuild()
}

// pickTrial returns a host on trial that has no call under way, none if there
// is none or the trials have had their share of the picks.
func (b *Balancer) pickTrial(now time.Duration, not int32) int32 {
	b.budget = min(b.budget+trialShare, 2)
	for _, i := range b.trials {
		c := b.chill(i)
		if c.awaits(now) || i == not {
			continue
		}
		if b.budget < 1 {
			return none
		}
		b.budget--
		c.await(now)
		return i
	}
	return none
}

// awaits reports whether a call of the trial is under way.
func (c *cold) awaits(now time.Duration) bool { return c.busy && now-c.trialAt < trialTimeout }

// await notes that a call of the trial begins.
func (c *cold) await(now time.Duration) { c.busy, c.trialAt = true, now }

// inTrial reports whether a call that ended is the one that tests the host.
func (b *Balancer) inTrial(i int32, r *result) bool {
	c := b.coldOf(i)
	return b.hosts[i].state == trial && c.busy && r.began(c.trialAt)
}

// release ends a call of a trial that says nothing of the host.
func (b *Balancer) release(i int32, r *result) {
	if b.inTrial(i, r) {
		b.chill(i).busy = false
	}
}

// testFailed takes a failed call of a trial, or of a host on probation: the host
// is ejected again, unless the others fail as often.
func (b *Balancer) testFailed(i int32, k lb.Kind, now time.Duration) {
	c := b.chill(i)
	c.busy = false
	if c.tested == math.MaxUint8 { // all fail, and the host no more than the others
		c.tested, c.failed = c.tested/2, c.failed/2
	}
	c.tested++
	c.failed++
	others := b.others(i)
	e := evidence(float64(c.failed), float64(c.tested), max(b.cfg.GrantedErrorRate, others))
	if e < 1 {
		return
	}
	why := decision{cause: byTrial, calls: uint16(c.tested), failures: uint16(c.failed), others: float32(others), compared: uint16(b.compared(i)), evidence: float32(e), limit: 1}
	event := lb.Event{Reason: "evidence of failed tests", Value: e, Sign: ">=", Limit: 1}
	if b.hosts[i].has(probation) {
		why.cause = byProbation
	}
	if k != lb.KindRefused || b.cfg.Probe && !b.hosts[i].has(trusted) {
		// It takes connections and fails calls, so it is alive, but broken. Or
		// no connect would ever tell that it is back.
		b.eject(i, rate, now, why, event)
		return
	}
	why.cause = byRefusedCall
	event.Reason, event.Value = "tests refused", 1
	b.eject(i, dead, now, why, event)
}

// testOK takes a success of a host that is not in rotation. The call of a
// trial counts for it. A call that began after the host was found dead shows
// that it is not.
func (b *Balancer) testOK(i int32, r result, now time.Duration) {
	c := b.chill(i)
	switch {
	case b.inTrial(i, &r):
		c.busy = false
		if c.tested++; c.tested >= c.needed {
			b.reinstate(i, now, lb.Event{Kind: lb.Reinstated, Reason: "calls of the trial", Value: float64(c.tested), Sign: ">=", Limit: float64(c.needed)})
		}
	case b.hosts[i].state == out && c.reason == dead && r.told && r.began(c.since):
		b.reinstate(i, now, lb.Event{Kind: lb.Reinstated, Reason: "successes since the ejection", Value: 1, Sign: ">=", Limit: 1})
	}
}
