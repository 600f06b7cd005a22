package agent

import (
	"time"

	"lars.internal/engine"
	"lars.internal/lb"
	"lars.internal/route"
)

const (
	// maxConnects is how many connects may be under way at a time: each has a
	// descriptor, and a network that was cut has them all wait.
	maxConnects = 200

	// maxWaiting bounds the probes that wait for an answer, and maxAddresses the
	// addresses of which something is remembered.
	maxWaiting   = 1 << 16
	maxAddresses = 1 << 16

	// minWait and maxWait bound the time that a connect may take, which is
	// waitFactor times what connects to the address took before.
	minWait    = 100 * time.Millisecond
	maxWait    = time.Second
	waitFactor = 4

	// patientAfter is the number of connects in a row without an answer from which
	// on each patientEvery-th one gets maxWait: the host may have moved farther
	// away. Not each, and not at once, since a host that heals during such a
	// connect comes back later for it: the packet that asked is lost.
	patientAfter = 32
	patientEvery = 8
)

// probeTable is which addresses are to be connected to, on behalf of which
// services. There is one connect to an address at a time, and its answer is for
// all services that may use it. Pure: the time is handed in. Owned by the loop of
// the prober.
type probeTable struct {
	firstWait time.Duration // for a connect to an address of which no time is known
	addresses map[route.Host]*address
	queue     []*address // to be connected to, the first one next
	flying    int        // connects under way
	waiting   int        // probes without an answer
	told      int        // services in address.told, of all addresses
	dropped   uint64     // probes that found no room
}

// address is what is known of one address.
type address struct {
	host  route.Host
	state addressState
	asked []engine.Probe // without an answer

	// The last connect that had an answer, or the one under way.
	began  time.Duration
	heard  bool
	answer lb.Answer
	silent int           // connects in a row without an answer
	took   time.Duration // mean of the connects that had one; 0: not known

	// The services that were told that the host takes no connections. They hear of
	// the first one that it takes, whoever asked.
	told map[route.Key]struct{}
}

type addressState uint8

const (
	atRest addressState = iota
	queued
	flying
)

func newProbeTable(firstWait time.Duration) probeTable {
	return probeTable{firstWait: firstWait, addresses: make(map[route.Host]*address)}
}

// ask takes a probe. It returns the answer if one is known that began late
// enough; else the address is connected to when its turn comes.
func (t *probeTable) ask(p engine.Probe) (answer lb.Answer, known bool) {
	a := t.find(p.Host)
	switch {
	case a == nil || t.waiting >= maxWaiting:
		t.dropped++
		return lb.ProbeNone, true
	case a.state != flying && a.heard && a.began >= p.Since:
		t.noteTold(a, p.Key)
		return a.answer, true
	}
	a.asked = append(a.asked, p)
	t.waiting++
	if a.state == atRest {
		t.enqueue(a)
	}
	return 0, false
}

// find returns the address, nil if there is no room for another one. One of which
// nothing is asked makes room.
func (t *probeTable) find(h route.Host) *address {
	a := t.addresses[h]
	if a != nil {
		return a
	}
	if len(t.addresses) >= maxAddresses && !t.forgetOne() {
		return nil
	}
	a = &address{host: h}
	t.addresses[h] = a
	return a
}

// forgetOne forgets an address at rest, whichever comes first: at worst it is
// connected to once more and gets a little less time.
func (t *probeTable) forgetOne() bool {
	for h, a := range t.addresses {
		if a.state == atRest {
			t.told -= len(a.told)
			delete(t.addresses, h)
			return true
		}
	}
	return false
}

func (t *probeTable) enqueue(a *address) {
	a.state = queued
	t.queue = append(t.queue, a)
}

// next returns the address to connect to now, and how long that may take; nil if
// none waits or enough connects are under way.
func (t *probeTable) next(now time.Duration) (*address, time.Duration) {
	if len(t.queue) == 0 || t.flying >= maxConnects {
		return nil, 0
	}
	a := t.queue[0]
	t.queue[0] = nil
	t.queue = t.queue[1:]
	a.state, a.began, a.heard = flying, now, false
	t.flying++
	return a, t.wait(a)
}

func (t *probeTable) wait(a *address) time.Duration {
	switch {
	case a.silent >= patientAfter && a.silent%patientEvery == 0:
		return max(t.firstWait, maxWait)
	case a.took > 0:
		return min(max(waitFactor*a.took, minWait), maxWait)
	}
	return t.firstWait
}

// ended takes the answer of a connect, and returns the probes that it answers, and
// one for each service that hears of it without having asked. The others want a
// connect that began later; the address has its turn again.
func (t *probeTable) ended(a *address, answer lb.Answer, now time.Duration) []engine.Probe {
	t.flying--
	a.state = atRest
	a.learn(answer, now)
	asked := a.asked
	served := asked[:0]
	a.asked = nil
	for _, p := range asked {
		if answer == lb.ProbeNone || a.began >= p.Since {
			served = append(served, p)
			t.noteTold(a, p.Key)
		} else {
			a.asked = append(a.asked, p)
			t.forgetTold(a, p.Key) // it will hear from a connect of its own
		}
	}
	t.waiting -= len(served)
	if len(a.asked) > 0 {
		t.enqueue(a)
	}
	if answer == lb.ProbeOK {
		for key := range a.told {
			served = append(served, engine.Probe{Key: key, Probe: lb.Probe{Host: a.host}})
		}
		t.told -= len(a.told)
		a.told = nil
	}
	return served
}

// noteTold notes whether a service that gets the last answer waits for a better one.
func (t *probeTable) noteTold(a *address, key route.Key) {
	switch {
	case !a.heard:
		return
	case a.answer == lb.ProbeOK:
		t.forgetTold(a, key)
		return
	case t.told >= maxWaiting:
		return // it hears by its own probes
	case a.told == nil:
		a.told = make(map[route.Key]struct{})
	}
	before := len(a.told)
	a.told[key] = struct{}{}
	t.told += len(a.told) - before
}

func (t *probeTable) forgetTold(a *address, key route.Key) {
	before := len(a.told)
	delete(a.told, key)
	t.told -= before - len(a.told)
}

func (a *address) learn(answer lb.Answer, now time.Duration) {
	a.answer, a.heard = answer, answer != lb.ProbeNone
	switch answer {
	case lb.ProbeSilent:
		a.silent++
	case lb.ProbeOK, lb.ProbeRefused:
		took := max(now-a.began, time.Microsecond)
		if a.took == 0 {
			a.took = took
		}
		a.took += (took - a.took) / 4
		a.silent = 0
	}
}
