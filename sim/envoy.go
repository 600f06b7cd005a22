package sim

import (
	"math"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// envoy is a model of Envoy: round robin with outlier detection at its
// defaults. 5 failures in a row eject, and a success rate below mean - 1.9
// standard deviations of 10 s, from 5 hosts with 100 calls each. An ejection
// lasts 30 s times their number. At most 10 % are ejected, but one host always.
// Below 50 % of healthy hosts it calls all (panic).
type envoy struct {
	peer
	journal
	at    int
	hosts []envoyHost
	out   int
	sweep time.Duration
	seed  uint64
}

type envoyHost struct {
	row, ok, all, times int
	out                 bool
	until               time.Duration
}

const (
	envoySweep = 10 * time.Second
	envoyBase  = 30 * time.Second
)

func newEnvoy(seed uint64) *envoy {
	return &envoy{seed: seed, sweep: time.Duration(seed%10_000) * time.Millisecond}
}

// Events appends what happened since the last call.
func (e *envoy) Events(dst []lb.Event) []lb.Event { return e.journal.Events(dst) }

// Update sets the hosts.
func (e *envoy) Update(hosts []route.Endpoint, _ time.Duration) {
	e.hosts = grown(e.hosts, e.take(hosts), envoyHost{})
	e.at, e.out = int(e.seed%uint64(len(hosts))), 0
	for _, i := range e.present {
		if e.hosts[i].out {
			e.out++
		}
	}
}

// Pick returns the next host in turn.
func (e *envoy) Pick(_ time.Duration, avoid route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	panics := 2*(len(e.present)-e.out) < len(e.present)
	i := 0
	for range e.present {
		e.at = (e.at + 1) % len(e.present)
		i = e.present[e.at]
		if (panics || !e.hosts[i].out) && hostOf(i) != avoid {
			break
		}
	}
	return hostOf(i), 0, lb.Picked
}

// Observe counts the outcome.
func (e *envoy) Observe(host route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	i := numberOf(host)
	h := &e.hosts[i]
	h.all++
	if o.OK > 0 {
		h.ok++
		h.row = 0
		return lb.Counted
	}
	if h.row++; h.row >= 5 {
		h.row = 0
		e.eject(i, now)
	}
	return lb.Counted
}

func (e *envoy) eject(i int, now time.Duration) {
	h := &e.hosts[i]
	if h.out || e.out > 0 && float64(e.out+1) > 0.1*float64(len(e.present)) {
		return
	}
	h.out = true
	h.times++
	h.until = now + envoyBase*time.Duration(min(h.times, 10))
	e.out++
	e.note(i, lb.Ejected)
}

// Tick takes hosts back and looks for outliers, every 10 s.
func (e *envoy) Tick(now time.Duration) time.Duration {
	if now < e.sweep {
		return e.sweep
	}
	e.sweep = now + envoySweep
	for _, i := range e.present {
		h := &e.hosts[i]
		switch {
		case h.out && now >= h.until:
			h.out, h.row = false, 0
			e.out--
			e.note(i, lb.Reinstated)
		case !h.out && h.times > 0 && now-h.until > envoyBase*time.Duration(h.times):
			h.times--
		}
	}
	e.outliers(now)
	return e.sweep
}

// outliers ejects hosts whose success rate is far below the mean.
func (e *envoy) outliers(now time.Duration) {
	var rates []float64
	var which []int
	for _, i := range e.present {
		if h := &e.hosts[i]; !h.out && h.all >= 100 {
			rates = append(rates, float64(h.ok)/float64(h.all))
			which = append(which, i)
		}
		e.hosts[i].all, e.hosts[i].ok = 0, 0
	}
	if len(rates) < 5 {
		return
	}
	mean, variance := 0.0, 0.0
	for _, r := range rates {
		mean += r / float64(len(rates))
	}
	for _, r := range rates {
		variance += (r - mean) * (r - mean) / float64(len(rates))
	}
	for k, r := range rates {
		if r < mean-1.9*math.Sqrt(variance) {
			e.eject(which[k], now)
		}
	}
}
