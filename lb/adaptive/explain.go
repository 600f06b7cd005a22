package adaptive

import (
	"slices"

	"lars.internal/lb"
)

// The names of the facts that Explain gives. A fact that is absent is 0. Times
// are seconds, moments are seconds on the clock of the caller.
const (
	factState     = "state"      // 0 up, 1 out, 2 on trial
	factWeight    = "weight"     // 1 is the mean; 0 drains the host
	factRemote    = "remote"     // 1: not in the zone of this machine
	factShare     = "share"      // of a fair share of the picks
	factZoned     = "zoned"      // 1: hosts of this zone and of others are in rotation
	factZoneShare = "zone_share" // of the picks that the hosts of its zone get, or those of all other zones
	factLatency   = "latency"    // mean
	factMedian    = "median"     // latency of the hosts in rotation
	factInFlight  = "in_flight"  // calls
	factErrorRate = "error_rate"
	factTrusted   = "trusted" // 1: it answered a probe once
	factRow       = "row"     // failures in a row

	factCalls    = "calls"         // of the window, or of the trial that decided
	factFailures = "failures"      // likewise
	factWindow   = "window"        // how long the window has been open
	factOthers   = "others"        // error rate of the other hosts
	factCompared = "compared"      // number of these
	factEvidence = "evidence"      // against that rate
	factGranted  = "evidence_bare" // against the rate that is granted
	factLimit    = "limit"         // of the evidence

	// Of a host in rotation.
	factSuspect   = "suspect"   // 1: a probe is to clear it or to eject it
	factDoubtful  = "doubtful"  // 1: only measured, by single calls
	factSilent    = "silent"    // of a doubtful host: connects in a row that were not answered
	factProbation = "probation" // 1: one call at a time
	factRamp      = "ramp"      // part of its share, if it is on a ramp

	// Of an ejected host.
	factReason    = "reason"     // 1 dead, 2 rate
	factCause     = "cause"      // what decided, a number of this package
	factCharge    = "charge"     // what it was suspected of, or how its last call failed if it is doubtful, likewise
	factAfter     = "after"      // time from the suspicion to the ejection
	factNext      = "next_at"    // no probe or test before
	factTests     = "tests"      // 1: only calls can tell that it has healed, as of a doubtful host
	factNextPicks = "next_picks" // picks of the service until such a test
	factLevel     = "level"      // of holding back
	factTested    = "tested"     // calls of the trial that ended
	factNeeded    = "needed"     // calls of the trial

	// Of the service.
	factHosts     = "hosts" // that may be called
	factLive      = "live"  // of these in rotation
	factShed      = "shed"  // share of the picks that is refused
	factLate      = "late"  // share of time-outs and overloads in the last second
	factLoadLimit = "load_limit"
	factPanic     = "panic" // 1: no host is in rotation
)

// Explain appends the state of every host, those in rotation first.
func (b *Balancer) Explain(dst []lb.HostState) []lb.HostState {
	v := b.overview()
	dst = slices.Grow(dst, len(b.hosts))
	for _, rotation := range [2]bool{true, false} {
		for i := range b.hosts {
			if (b.hosts[i].state == up) == rotation {
				dst = append(dst, b.stateOf(int32(i), &v))
			}
		}
	}
	return dst
}

// overview is what the facts of all hosts have in common.
type overview struct {
	median      float64 // latency, us
	hosts, live float64
	weight      float64 // of the hosts in rotation
	shares      []lb.Share
	rates       []float64 // error rates of the hosts in rotation, sorted
	facts       facts     // room for those of all hosts
}

func (b *Balancer) overview() overview {
	n := len(b.hosts)
	v := overview{shares: b.Shares(make([]lb.Share, 0, n)), rates: make([]float64, 0, n), facts: make(facts, 0, n*maxFacts)}
	latencies := make([]float64, 0, n)
	for i := range b.hosts {
		h := &b.hosts[i]
		if h.drained() {
			continue
		}
		v.hosts++
		if h.state == up {
			v.live++
			v.weight += h.weight()
			latencies = append(latencies, float64(h.latency))
			v.rates = append(v.rates, float64(h.errorRate()))
		}
	}
	slices.Sort(latencies)
	slices.Sort(v.rates)
	v.median = median(latencies)
	return v
}

// others returns what Balancer.others does, without a walk over the hosts.
func (v *overview) others(h *host) (rate float64, hosts int) {
	rest := v.rates
	if !h.drained() { // leave the host out: its rate is among them
		own, _ := slices.BinarySearch(rest, float64(h.errorRate()))
		n := len(rest) - 1
		at := func(k int) float64 {
			if k >= own {
				k++
			}
			return rest[k]
		}
		if n == 0 {
			return 1, 0
		}
		return (at((n-1)/2) + at(n/2)) / 2, n
	}
	if len(rest) == 0 {
		return 1, 0
	}
	return median(rest), len(rest)
}

func (b *Balancer) stateOf(i int32, v *overview) lb.HostState {
	h, c := &b.hosts[i], b.coldOf(i)
	s := lb.HostState{
		Host: b.ids[i], Ejected: h.state != up, Since: b.added[i], Share: v.shares[i].Share,
		Ejections: c.ejections, Reinstatements: c.reinstatements,
	}
	if c.ejections > 0 {
		s.Since = c.since
	}
	from := len(v.facts)
	f := v.facts
	f.addHot(b, i)
	f.addService(b, i, v)
	if h.state == up {
		f.addUp(b, i, v)
	} else {
		f.addOut(b, i)
	}
	s.Facts, v.facts = f[from:len(f):len(f)], f
	return s
}

// maxFacts is how many facts a host has at most.
const maxFacts = 32

// facts are the facts of one host.
type facts []lb.Fact

func (f *facts) add(name string, value float64) {
	if value != 0 {
		*f = append(*f, lb.Fact{Name: name, Value: value})
	}
}

func (f *facts) addIf(name string, is bool) {
	if is {
		f.add(name, 1)
	}
}

func (f *facts) addHot(b *Balancer, i int32) {
	h := &b.hosts[i]
	f.add(factState, float64(h.state))
	f.add(factWeight, h.weight())
	f.addIf(factRemote, h.has(remote))
	f.add(factLatency, float64(h.latency)/1e6)
	f.add(factInFlight, float64(h.inFlight))
	f.add(factErrorRate, float64(h.errorRate()))
	f.addIf(factTrusted, h.has(trusted))
	f.add(factRow, float64(h.row))
}

func (f *facts) addService(b *Balancer, i int32, v *overview) {
	if h := &b.hosts[i]; !h.drained() && h.state == up {
		f.add(factShare, v.shares[i].Share*v.weight/h.weight())
		f.addZone(b, h)
	}
	f.add(factMedian, v.median/1e6)
	f.add(factHosts, v.hosts)
	f.add(factLive, v.live)
	f.add(factShed, float64(b.shed)/(1<<32))
	f.add(factLate, float64(b.lateShare))
	f.add(factLoadLimit, b.cfg.LoadLimit)
	f.addIf(factPanic, b.panicky)
}

// addZone adds how zones divide the picks, if they do.
func (f *facts) addZone(b *Balancer, h *host) {
	if b.local == 0 || b.local == len(b.rot) {
		return
	}
	share := float64(b.share) / (1<<32 - 1)
	if h.has(remote) {
		share = 1 - share
	}
	f.add(factZoned, 1)
	f.add(factZoneShare, share)
}

func (f *facts) addUp(b *Balancer, i int32, v *overview) {
	h, c := &b.hosts[i], b.coldOf(i)
	f.addIf(factSuspect, h.has(suspect))
	if h.row >= b.doubt {
		f.add(factDoubtful, 1)
		f.add(factCharge, float64(c.doubted))
		f.add(factSilent, float64(c.silent))
		f.addTests(b, c, h.has(measure))
	}
	f.addIf(factProbation, h.has(probation))
	if h.has(ramping) {
		f.add(factRamp, b.ramped(i, b.seen))
	}
	f.add(factLimit, b.evidenceLimit(i))
	if h.failures == 0 {
		return
	}
	others, compared := v.others(h)
	failures, calls := float64(h.failures), float64(h.calls)
	f.add(factCalls, calls)
	f.add(factFailures, failures)
	f.add(factWindow, (b.seen - b.windowOpened(h, b.seen)).Seconds())
	f.add(factOthers, others)
	f.add(factCompared, float64(compared))
	f.add(factGranted, evidence(failures, calls, b.cfg.GrantedErrorRate))
	f.add(factEvidence, evidence(failures, calls, max(b.cfg.GrantedErrorRate, others)))
}

func (f *facts) addOut(b *Balancer, i int32) {
	c := b.coldOf(i)
	f.add(factReason, float64(c.reason))
	f.add(factCause, float64(c.why.cause))
	f.add(factCharge, float64(c.why.charge))
	f.add(factRow, float64(c.why.row))
	f.add(factAfter, c.why.after.Seconds())
	f.add(factCalls, float64(c.why.calls))
	f.add(factFailures, float64(c.why.failures))
	f.add(factWindow, c.why.window.Seconds())
	f.add(factOthers, float64(c.why.others))
	f.add(factCompared, float64(c.why.compared))
	f.add(factEvidence, float64(c.why.evidence))
	f.add(factLimit, float64(c.why.limit))
	f.add(factNext, c.nextProbe.Seconds())
	f.add(factLevel, float64(c.level))
	f.add(factTested, float64(c.tested))
	f.add(factNeeded, float64(c.needed))
	if c.reason == rate || !b.cfg.Probe {
		f.addTests(b, c, false)
	}
}

// addTests adds when a call may test the host.
func (f *facts) addTests(b *Balancer, c *cold, due bool) {
	f.add(factTests, 1)
	if !due {
		f.add(factNextPicks, float64(b.picksLeft(c)))
	}
}

// median returns the median of sorted numbers, 0 if there are none.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	m := len(x) / 2
	if len(x)%2 == 0 {
		return (x[m-1] + x[m]) / 2
	}
	return x[m]
}
