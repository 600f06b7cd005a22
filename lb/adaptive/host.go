package adaptive

import (
	"time"

	"lars.internal/lb"
)

// state is where a host is between good and ejected.
type state uint8

const (
	up    state = iota // in rotation, perhaps on its ramp
	out                // ejected
	trial              // ejected, and single calls test it
)

// reason is why a host is ejected.
type reason uint8

const (
	noReason reason = iota
	dead            // connects to it fail
	rate            // its calls fail, those of the others do not
)

// flags are what is so of a host at the moment.
type flags uint16

const (
	suspect   flags = 1 << iota // a probe is to clear it or to eject it
	measure                     // doubtful, but the next call may go to it
	ramping                     // gets less than its share still
	probation                   // one call at a time, and the first failure ejects
	probing                     // a probe is under way
	trusted                     // answered a probe once, so a failed probe counts
	worked                      // a call succeeded once
	answered                    // a call ended in this generation of calls in flight
	remote                      // not in the zone of this machine
	kept                        // named by the Update that is under way
)

// host is what picks and outcomes of one host touch: 64 bytes, a cache line.
// Times in ms and us are those of the caller modulo 2^32, so only differences
// mean anything; after 24 days without a call a host may look as if it had had
// one just now, which costs one call.
type host struct {
	latency  float32 // mean, us
	perCall  float32 // 1 / weight, where 1 is the mean weight of all hosts
	inFlight uint16
	older    uint16 // of inFlight, picked in the generation before
	lastPick uint32 // number of picks of the service at the last outcome
	lastEnd  uint32 // ms, the last outcome
	lastOK   uint32 // ms, the last success
	quiet    uint32 // ms, since when it owes an answer

	// Little's law: the mean latency between two outcomes is the integral of
	// the calls in flight over time, divided by the outcomes.
	area   float32 // calls x us
	areaAt uint32  // us

	// The window, open while failures > 0.
	calls     uint16
	failures  uint16
	nextCheck uint16 // failures at which the evidence is weighed again
	score     uint16 // of the CUSUM, 1/256 nat
	fastRate  float32
	slowRate  float32 // error rates with a memory of 128 and of 1,024 calls

	row        uint8 // failures in a row
	state      state
	flags      flags
	generation uint16 // 1/64 s, when the generation in flight began
	opened     uint16 // s, when the window was opened
	cold       int32  // place of the cold half, 0: none
}

// cold is the rest of what is known of a host that is not plainly up: ejected
// once, suspect, doubtful, new in a known service.
type cold struct {
	since     time.Duration // when it was ejected or reinstated last
	rampFrom  time.Duration
	nextProbe time.Duration // no probe or test before
	heard     time.Duration // the last answer to a probe while it was dead
	calm      time.Duration // no suspicion before
	suspected time.Duration // when the last suspicion began
	trialAt   time.Duration // the last call of the trial
	outPicks  uint64        // picks of the service at the ejection or the last doubtful failure

	ejections, reinstatements uint32

	reason   reason
	charge   charge // of the last suspicion
	doubted  charge // how the last call failed, if it is doubtful
	level    uint8  // of holding back, raised by ejections soon after a return
	tries    uint8  // probes that failed since the ejection
	silent   uint8  // probes without an answer in a row
	waiting  bool   // for the answer of the control probe
	returned bool   // the ramp is one after an ejection
	busy     bool   // a call of the trial is under way
	owed     uint16 // calls from before the return whose end was not told yet
	needed   uint8  // calls of the trial
	tested   uint8  // of these, ended
	failed   uint8  // of these, failures

	why decision
}

// decision holds the numbers of the last ejection, for people.
type decision struct {
	cause           cause
	charge          charge
	row             uint8         // failures in a row
	after           time.Duration // from the suspicion to the ejection
	window          time.Duration // how long the window had been open
	calls, failures uint16
	others          float32 // error rate
	compared        uint16  // hosts that have it
	evidence, limit float32
}

// charge is what a host is suspected of.
type charge uint8

const (
	noCharge charge = iota
	refused         // it refused a call
	timedOut        // it did not answer a call in time
	failing         // it failed calls
	stalled         // it answers nothing
)

func chargeOf(k lb.Kind) charge {
	switch k {
	case lb.KindRefused:
		return refused
	case lb.KindTimeout:
		return timedOut
	}
	return failing
}

// cause is what decided an ejection.
type cause uint8

const (
	noCause       cause = iota
	byRefusal           // a probe was refused
	bySilence           // probes were not answered
	byEvidence          // the failures outweighed the limit
	byTrial             // failures of the trial
	byProbation         // failure of the first call after the return
	byRefusedCall       // refusal of a call of the trial or on probation
)

// has reports whether one of the flags is set.
func (h *host) has(f flags) bool { return h.flags&f != 0 }

func (h *host) set(f flags)   { h.flags |= f }
func (h *host) clear(f flags) { h.flags &^= f }

// integrate brings the integral of the calls in flight up to date.
func (h *host) integrate(us uint32) {
	h.area += float32(h.inFlight) * float32(us-h.areaAt)
	h.areaAt = us
}

// begin counts a call that begins.
func (h *host) begin(us uint64) {
	if h.inFlight == 0 {
		h.quiet = uint32(us / 1000)
	}
	h.integrate(uint32(us))
	if h.inFlight != 1<<16-1 {
		h.inFlight++
	}
}

// end counts n calls that ended, those of the older generation first, unless it
// is known that they are young.
func (h *host) end(n uint32, young bool, ms uint32, pick uint64) {
	if !young {
		h.older -= uint16(min(n, uint32(h.older)))
	}
	h.inFlight -= uint16(min(n, uint32(h.inFlight)))
	h.older = min(h.older, h.inFlight)
	h.quiet = ms
	h.lastPick = uint32(pick)
	h.set(answered)
}

// toGeneration returns the time of generations of calls, which wraps after 17
// minutes: a host at rest for that long may be looked at a generation later.
func toGeneration(us uint64) uint16 { return uint16(us / (1e6 / 64)) }

// young reports whether a call began after the generation in flight did. Without
// that the ends of young calls would be taken for those of older ones that nobody
// reports, which would be in flight for ever on a busy host.
func (h *host) young(begin uint64) bool { return int16(toGeneration(begin)-h.generation) > 0 }

// drained reports whether the host has weight 0 and is not to be called.
func (h *host) drained() bool { return h.perCall == 0 }

// weight returns the weight, where 1 is the mean of all hosts.
func (h *host) weight() float64 {
	if h.drained() {
		return 0
	}
	return 1 / float64(h.perCall)
}

// chill returns the cold half of host i, a new one if there is none. It grows
// the pool only when more hosts than ever before are in trouble at a time.
func (b *Balancer) chill(i int32) *cold {
	h := &b.hosts[i]
	if h.cold != 0 {
		return &b.cold[h.cold]
	}
	if n := len(b.free); n > 0 {
		h.cold = b.free[n-1]
		b.free = b.free[:n-1]
	} else {
		h.cold = int32(len(b.cold))
		b.cold = append(b.cold, cold{})
	}
	c := &b.cold[h.cold]
	*c = cold{}
	return c
}

// coldOf returns the cold half of host i, an empty one if there is none. It is
// for reading only.
func (b *Balancer) coldOf(i int32) *cold { return &b.cold[b.hosts[i].cold] }

// warm gives the cold half of host i back.
func (b *Balancer) warm(i int32) {
	if at := b.hosts[i].cold; at != 0 {
		b.free = append(b.free, at)
		b.hosts[i].cold = 0
	}
}

// plain reports whether host i needs no cold half any more.
func (b *Balancer) plain(i int32, now time.Duration) bool {
	h, c := &b.hosts[i], b.coldOf(i)
	return h.state == up && !h.has(suspect|ramping|probation|measure|probing) &&
		int(h.row) < b.cfg.Doubtful && c.ejections == 0 && now >= c.calm
}
