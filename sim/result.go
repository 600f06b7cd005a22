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

	Ejections  int // all of them
	Unfounded  int // of these, of hosts that had been well for longer than a call can take
	Counters   lb.Counters
	InRotation [][]time.Duration // by agent and host: the time of the last return, 0: none
	Ejected    [][]time.Duration // by agent and host: the time of the last ejection, 0: none
	FirstOK    [][]time.Duration // by agent and host: the first success since it healed, 0: none

	Latencies     Histogram
	LatenciesFrom time.Duration // operations before are not in Latencies
	Load          [][]int32     // calls that arrived, by host and 100 ms

	heal    []time.Duration // when each host healed last
	timeout time.Duration
}

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

// latencySteps is the number of steps of a Histogram; each is 2 % wider than
// the one before, from 10 us on.
const latencySteps = 1000

// Histogram counts latencies.
type Histogram [latencySteps]int64

func (h *Histogram) add(d time.Duration) {
	step := 0
	if d > 10*time.Microsecond {
		step = int(50 * math.Log(float64(d)/1e4))
	}
	h[min(step, latencySteps-1)]++
}

// Quantile returns the latency that a share q of the operations does not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	sum := int64(0)
	for _, n := range h {
		sum += n
	}
	at := int64(0)
	for i, n := range h {
		if at += n; float64(at) >= q*float64(sum) {
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
		InRotation: matrix(sc), Ejected: matrix(sc), FirstOK: matrix(sc),
		LatenciesFrom: 10 * time.Second,
		heal:          make([]time.Duration, sc.Hosts),
		timeout:       sc.Timeout,
	}
	for i := range r.Host {
		r.Host[i], r.Load[i] = make(Series, seconds), make([]int32, 10*seconds)
	}
	return r
}

func matrix(sc *Scenario) [][]time.Duration {
	m := make([][]time.Duration, sc.Agents)
	for i := range m {
		m[i] = make([]time.Duration, sc.Hosts)
	}
	return m
}

func (r *Result) picked(host int, at time.Duration) {
	r.Host[host].add(at)
	r.Load[host][at/(100*time.Millisecond)]++
}

func (r *Result) latency(began, now time.Duration) {
	if began >= r.LatenciesFrom {
		r.Latencies.add(now - began)
	}
}

func (r *Result) succeeded(agent, host int, picked, now time.Duration) {
	if h := r.heal[host]; h != 0 && picked >= h && r.FirstOK[agent][host] == 0 {
		r.FirstOK[agent][host] = now
	}
}

// healed begins to wait for the first success of a host.
func (r *Result) healed(host int, at time.Duration) {
	r.heal[host] = at
	for _, agent := range r.FirstOK {
		agent[host] = 0
	}
}

func (r *Result) happened(agent int, e *lb.Event, h *server, now time.Duration) {
	host := numberOf(e.Host)
	switch e.Kind {
	case lb.Ejected:
		r.Ejections++
		r.Ejected[agent][host] = now
		if h.life == well && h.errors <= wellErrors && now-h.changed > r.timeout {
			r.Unfounded++
		}
	case lb.Reinstated, lb.OnTrial:
		r.InRotation[agent][host] = now
	}
}

// wellErrors is the share of failures up to which an ejection is unfounded.
const wellErrors = 0.05

func (r *Result) count(b lb.Balancer) {
	c := b.Counters()
	r.Counters.EjectedDead += c.EjectedDead
	r.Counters.EjectedRate += c.EjectedRate
	r.Counters.ProbesOK += c.ProbesOK
	r.Counters.ProbesRefused += c.ProbesRefused
	r.Counters.ProbesSilent += c.ProbesSilent
	r.Counters.SuspicionsCleared += c.SuspicionsCleared
	r.Counters.Trials += c.Trials
	r.Counters.PanicPicks += c.PanicPicks
	r.Counters.ShedPicks += c.ShedPicks
	r.Counters.RemotePicks += c.RemotePicks
	r.Counters.Forgotten += c.Forgotten
}

// FailedShare returns the share of the operations of a time that failed.
func (r *Result) FailedShare(from, to time.Duration) float64 {
	return r.Failed.Sum(from, to) / r.Calls.Sum(from, to)
}

// GoodShare returns the share of the operations of a time that neither failed
// nor were refused.
func (r *Result) GoodShare(from, to time.Duration) float64 {
	return 1 - (r.Failed.Sum(from, to)+r.Refused.Sum(from, to))/r.Calls.Sum(from, to)
}

// HostShare returns the calls of a host in a time, relative to an equal share.
func (r *Result) HostShare(host int, from, to time.Duration) float64 {
	return r.Host[host].Sum(from, to) * float64(len(r.Host)) / r.Calls.Sum(from, to)
}

// PeakLoad returns the most calls that arrived at the host in 100 ms of a time,
// relative to an equal share.
func (r *Result) PeakLoad(host int, from, to time.Duration) float64 {
	const slot = 100 * time.Millisecond
	fair := r.Calls.Sum(from, to) / float64(len(r.Host)) * float64(slot) / float64(to-from)
	return float64(slices.Max(r.Load[host][from/slot:to/slot])) / fair
}

// BackAfter returns the quantile, over the agents that had ejected the host, of
// the time from since until it was in rotation again; end counts for those to
// which it did not come back.
func (r *Result) BackAfter(host int, since, end time.Duration, q float64) time.Duration {
	var ejected [][]time.Duration
	for i := range r.Ejected {
		if r.Ejected[i][host] != 0 {
			ejected = append(ejected, r.InRotation[i])
		}
	}
	return after(ejected, host, since, end, q)
}

// WorksAfter is BackAfter for the first success.
func (r *Result) WorksAfter(host int, since, end time.Duration, q float64) time.Duration {
	return after(r.FirstOK, host, since, end, q)
}

func after(times [][]time.Duration, host int, since, end time.Duration, q float64) time.Duration {
	var all []time.Duration
	for _, agent := range times {
		at := agent[host]
		if at < since {
			at = end
		}
		all = append(all, at-since)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}
