package adaptive

import (
	"math"
	"slices"
	"time"

	"lars.internal/lb"
)

const (
	// maxWindow is the number of calls at which a window is halved. Where
	// errors of all hosts never let windows close, an endless one would outweigh
	// every estimate of the present.
	maxWindow = 1024

	// scoreUnit is the number of units of host.score in a nat. 65,535 of them
	// are 256 nats, which 1,200 successes take off: a longer bad spell is not
	// remembered for longer.
	scoreUnit = 256

	fastMemory = 128 // calls
	slowMemory = 1024
)

// units returns nats as units of host.score, at least one: else no window would
// ever close.
func units(nats float64) uint16 { return uint16(max(1, math.Round(min(nats, 255)*scoreUnit))) }

// windowOK takes a success into the window of the host, which closes when the
// score says that the bad spell is over.
func (b *Balancer) windowOK(h *host) {
	h.fastRate, h.slowRate = decay(h.fastRate, fastMemory), decay(h.slowRate, slowMemory)
	if h.failures == 0 {
		return
	}
	h.calls++
	h.bound()
	if h.score <= b.down {
		h.closeWindow()
		return
	}
	h.score -= b.down
}

// windowFailed takes a failure into the window of the host; the first one opens
// it.
func (b *Balancer) windowFailed(h *host, now time.Duration) {
	h.fastRate += (1 - h.fastRate) / fastMemory
	h.slowRate += (1 - h.slowRate) / slowMemory
	if h.failures == 0 {
		h.opened = uint16(uint64(now) / 1e9)
	}
	h.calls++
	h.failures++
	h.bound()
	h.score = uint16(min(uint32(h.score)+uint32(b.up), math.MaxUint16))
}

// decay takes a success into an error rate. It stops far below any rate that
// matters: after 10,000 more successes the number would be denormal, with which
// processors compute a hundred times slower.
func decay(rate, memory float32) float32 {
	if rate -= rate / memory; rate < 1e-9 {
		return 0
	}
	return rate
}

func (h *host) closeWindow() { h.calls, h.failures, h.score, h.nextCheck = 0, 0, 0, 0 }

func (h *host) bound() {
	if h.calls >= maxWindow {
		h.calls, h.failures, h.nextCheck = h.calls/2, h.failures/2, h.nextCheck/2
	}
	if h.failures == 0 {
		h.closeWindow()
	}
}

// evidence returns the log-likelihood ratio, in nats, of f failures in n calls
// between their own rate and the rate p: n x KL(f/n, p).
func evidence(f, n, p float64) float64 {
	q := f / n
	if q <= p {
		return 0
	}
	e := q * math.Log(q/p)
	if q < 1 {
		e += (1 - q) * math.Log((1-q)/(1-p))
	}
	return n * e
}

// weigh ejects a host in rotation if its failures are evidence enough and the
// cap allows it, and reports whether they are. It is called at a failure. First
// the failures are compared with the rate that is granted, which is cheap; only
// then with the rate of the others, which takes time in proportion to their
// number, so not again before a quarter more failures.
func (b *Balancer) weigh(i int32, now time.Duration) bool {
	h := &b.hosts[i]
	limit := b.evidenceLimit(i)
	f, n := float64(h.failures), float64(h.calls)
	if h.failures < h.nextCheck || evidence(f, n, b.cfg.GrantedErrorRate) < limit {
		return false
	}
	h.nextCheck = h.failures + max(1, h.failures/4)
	others := b.others(i)
	e := evidence(f, n, max(b.cfg.GrantedErrorRate, others))
	if e < limit {
		return false
	}
	if b.mayEject() {
		b.eject(i, rate, now, decision{cause: byEvidence, calls: h.calls, failures: h.failures, others: float32(others), compared: uint16(b.compared(i)), evidence: float32(e), limit: float32(limit)},
			lb.Event{Reason: "evidence of failures", Value: e, Sign: ">=", Limit: limit})
	}
	return true
}

// evidenceLimit is half as high while the host is on its ramp after an
// ejection: it was bad just now.
func (b *Balancer) evidenceLimit(i int32) float64 {
	if b.hosts[i].has(ramping) && b.coldOf(i).returned {
		return b.cfg.Evidence / 2
	}
	return b.cfg.Evidence
}

// others returns the median error rate of the other hosts in rotation, 1 if
// there is none: therefore no failures eject the last one. The rate of a host is the largest of its means and, in a bad
// spell of three failures, that of its window: the median with current windows
// neither hides several bad hosts nor lags a common disturbance.
func (b *Balancer) others(i int32) float64 {
	rates := b.scratch.rates[:0]
	for j := range b.hosts {
		h := &b.hosts[j]
		if int32(j) == i || h.state != up || h.drained() {
			continue
		}
		rates = append(rates, float64(h.errorRate()))
	}
	if len(rates) == 0 {
		return 1
	}
	slices.Sort(rates)
	return median(rates)
}

// compared returns how many other hosts are in rotation.
func (b *Balancer) compared(i int32) (n int) {
	for _, j := range b.rot {
		if j != i && b.hosts[j].state == up {
			n++
		}
	}
	return n
}

// errorRate returns the error rate with which a host counts for the others.
func (h *host) errorRate() float32 {
	r := max(h.fastRate, h.slowRate)
	if h.failures >= 3 {
		r = max(r, float32(h.failures)/float32(h.calls))
	}
	return r
}

// mayEject reports whether evidence may eject one more host: at most MaxEjected
// of the hosts that are not dead, counted after the ejection, though always one.
func (b *Balancer) mayEject() bool {
	ejected, alive := 0, 0
	for i := range b.hosts {
		h := &b.hosts[i]
		switch {
		case h.drained():
		case h.state == up:
			alive++
		case b.coldOf(int32(i)).reason == rate:
			alive++
			ejected++
		}
	}
	return float64(ejected+1) <= max(1, b.cfg.MaxEjected*float64(alive))
}
