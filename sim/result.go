package sim

import (
	"math"
	"slices"
	"time"

	"lars.internal/lb"
)

// Result is what a run has shown. A call that an agent refuses is in Refused and
// not in Failed.
type Result struct {
	Calls, Failed, Refused Series // operations of programs
	Host                   []Series
	FailedBy               []int // failed tries, by host
	Retries, Probes        int

	Ejections int // all of them
	Unfounded int // of these, of hosts that had been well for longer than a call can take
	Counters  lb.Counters

	ToEject  Histogram // from when a host turned bad until an agent ejected it, for those that did
	ToReturn Histogram // from when a host was well again until it was back in rotation
	ToWork   Histogram // from when a host was well again until the first good call of each agent since
	StillOut int       // times that it did not come back before the next change or the end

	Latencies     Histogram
	LatenciesFrom time.Duration   // operations before are not in Latencies
	P99           []time.Duration // of the operations that ended in each second; 0: there were none
	Load          [][]int32       // calls that arrived, by host and 100 ms

	second   Histogram // operations that ended in the present second
	at       int       // the present second
	troubles []trouble // by host
	seen     [][]view  // by agent and host
	timeout  time.Duration
}

// trouble is when a host turned bad and well last.
type trouble struct {
	bad    bool
	since  time.Duration
	healed time.Duration // 0: never
}

// view is what an agent has done about a host, as bits.
type view uint8

const (
	isOut      view = 1 << iota // ejected at the moment
	wasOut                      // ejected since the host turned bad
	isAwaited                   // ejected when the host turned well, and not back yet
	isUnproven                  // no call has worked since the host turned well
)

// Series counts by the second.
type Series []int64

func (x Series) add(at time.Duration) { x[at/time.Second]++ }

// Sum returns the count from one second to before another.
func (x Series) Sum(from, to time.Duration) float64 {
	sum := int64(0)
	for i := int(from / time.Second); i < int(to/time.Second) && i < len(x); i++ {
		sum += x[i]
	}
	return float64(sum)
}

// Total returns the count of all seconds.
func (x Series) Total() int64 {
	sum := int64(0)
	for _, n := range x {
		sum += n
	}
	return sum
}

// latencySteps is the number of steps of a Histogram; each is 2 % wider than
// the one before, from 10 us on.
const latencySteps = 1000

// Histogram counts latencies.
type Histogram [latencySteps]int64

// Count returns how many latencies were counted.
func (h *Histogram) Count() int64 {
	sum := int64(0)
	for _, n := range h {
		sum += n
	}
	return sum
}

func (h *Histogram) add(d time.Duration) {
	step := 0
	if d > 10*time.Microsecond {
		step = int(50 * math.Log(float64(d)/1e4))
	}
	h[min(step, latencySteps-1)]++
}

// Quantile returns the latency that a share q of them does not exceed, 0 if there
// are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	sum, at := h.Count(), int64(0)
	for i, n := range h {
		if at += n; n > 0 && float64(at) >= q*float64(sum) {
			return time.Duration(1e4 * math.Exp((float64(i)+0.5)/50))
		}
	}
	return 0
}

func newResult(sc *Scenario) *Result {
	seconds := int(sc.Length/time.Second) + 2
	r := &Result{
		Calls: make(Series, seconds), Failed: make(Series, seconds), Refused: make(Series, seconds),
		Host: make([]Series, sc.Hosts), FailedBy: make([]int, sc.Hosts), Load: make([][]int32, sc.Hosts),
		LatenciesFrom: min(10*time.Second, sc.Length/2),
		P99:           make([]time.Duration, seconds),
		troubles:      make([]trouble, sc.Hosts),
		seen:          make([][]view, sc.Agents),
		timeout:       sc.Timeout,
	}
	for i := range r.Host {
		r.Host[i], r.Load[i] = make(Series, seconds), make([]int32, 10*seconds)
	}
	for i := range r.seen {
		r.seen[i] = make([]view, sc.Hosts)
	}
	return r
}

func (r *Result) picked(host int, at time.Duration) {
	r.Host[host].add(at)
	r.Load[host][at/(100*time.Millisecond)]++
}

func (r *Result) latency(began, now time.Duration) {
	if at := int(now / time.Second); at != r.at {
		r.endSecond()
		r.at = at
	}
	r.second.add(now - began)
	if began >= r.LatenciesFrom {
		r.Latencies.add(now - began)
	}
}

func (r *Result) endSecond() {
	r.P99[r.at] = r.second.Quantile(0.99)
	r.second = Histogram{}
}

// turned notes that a host is bad or well from now on.
func (r *Result) turned(host int, bad bool, now time.Duration) {
	t := &r.troubles[host]
	if t.bad == bad {
		return
	}
	t.bad = bad
	if bad {
		t.since = now
	} else {
		t.healed = now
	}
	for _, seen := range r.seen {
		v := &seen[host]
		if bad {
			r.giveUp(v)
			*v &^= wasOut | isUnproven
			continue
		}
		*v |= isUnproven
		if *v&isOut != 0 {
			*v |= isAwaited
		}
	}
}

// succeeded notes a good call that began at picked.
func (r *Result) succeeded(agent, host int, picked, now time.Duration) {
	v := &r.seen[agent][host]
	if healed := r.troubles[host].healed; *v&isUnproven != 0 && picked >= healed {
		r.ToWork.add(now - healed)
		*v &^= isUnproven
	}
}

// giveUp ends to wait for the return of a host.
func (r *Result) giveUp(v *view) {
	if *v&isAwaited != 0 {
		r.StillOut++
		*v &^= isAwaited
	}
}

func (r *Result) happened(agent int, e *lb.Event, h *server, now time.Duration) {
	host := numberOf(e.Host)
	v, t := &r.seen[agent][host], &r.troubles[host]
	switch e.Kind {
	case lb.Ejected:
		r.Ejections++
		*v |= isOut
		switch {
		case t.bad && *v&wasOut == 0:
			r.ToEject.add(now - t.since)
			*v |= wasOut
		case t.bad:
		case t.healed > 0 && now-t.healed <= r.timeout: // calls that began before have failed
			*v |= isAwaited
		case now-h.changed > r.timeout:
			r.Unfounded++
		}
	case lb.Reinstated, lb.OnTrial:
		*v &^= isOut
		if *v&isAwaited != 0 {
			r.ToReturn.add(now - t.healed)
			*v &^= isAwaited
		}
	}
}

// end notes that nothing more will happen.
func (r *Result) end() {
	r.endSecond()
	for _, seen := range r.seen {
		for host := range seen {
			r.giveUp(&seen[host])
		}
	}
}

// wellErrors is the share of failures up to which an ejection is unfounded.
const wellErrors = 0.05

// PeakLoad returns the most calls that arrived at the host in 100 ms of a time,
// relative to an equal share.
func (r *Result) PeakLoad(host int, from, to time.Duration) float64 {
	const slot = 100 * time.Millisecond
	fair := r.Calls.Sum(from, to) / float64(len(r.Host)) * float64(slot) / float64(to-from)
	if fair == 0 {
		return 0
	}
	return float64(slices.Max(r.Load[host][from/slot:to/slot])) / fair
}
