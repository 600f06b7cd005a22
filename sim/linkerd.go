package sim

import (
	"math"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// linkerd is a model of linkerd 2: of two random hosts the one with the smaller
// peak EWMA of the latency times calls in flight; 7 failures in a row eject, and
// single calls probe after 1 s to 60 s. With never it does not eject: peak EWMA
// alone, as in Finagle.
type linkerd struct {
	peer
	journal
	random random
	never  bool
	hosts  []linkerdHost
}

type linkerdHost struct {
	cost     float64 // ns
	stamp    time.Duration
	inFlight int
	row      int
	out      bool
	probing  bool
	level    int
	until    time.Duration
}

const linkerdDecay = 10 * time.Second

// Events appends what happened since the last call.
func (l *linkerd) Events(dst []lb.Event) []lb.Event { return l.journal.Events(dst) }

// Update sets the hosts.
func (l *linkerd) Update(e []route.Endpoint, _ time.Duration) {
	l.hosts = grown(l.hosts, l.take(e), linkerdHost{cost: float64(30 * time.Millisecond)})
}

func (h *linkerdHost) decay(now time.Duration) float64 {
	return math.Exp(-float64(now-h.stamp) / float64(linkerdDecay))
}

func (h *linkerdHost) load(now time.Duration) float64 {
	return h.cost * h.decay(now) * float64(h.inFlight+1)
}

func (h *linkerdHost) ready(now time.Duration) bool {
	return !h.out || !h.probing && now >= h.until
}

// Pick returns the better of two hosts that are ready.
func (l *linkerd) Pick(now time.Duration, avoid route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	best := -1
	for tries := 0; tries < 8 && best < 0; tries++ {
		a, b := l.random.two(len(l.present))
		for _, i := range [2]int{l.present[a], l.present[b]} {
			if h := &l.hosts[i]; hostOf(i) != avoid && h.ready(now) && (best < 0 || h.load(now) < l.hosts[best].load(now)) {
				best = i
			}
		}
	}
	for _, i := range l.present {
		if best < 0 && l.hosts[i].ready(now) {
			best = i
		}
	}
	if best < 0 {
		return route.Host{}, 0, lb.Overloaded
	}
	h := &l.hosts[best]
	h.probing = h.out
	h.inFlight++
	return hostOf(best), 0, lb.Picked
}

// Observe learns the latency and ejects.
func (l *linkerd) Observe(host route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	i := numberOf(host)
	h := &l.hosts[i]
	h.inFlight--
	w, latency := h.decay(now), float64(o.Latency)
	if h.cost *= w; latency > h.cost {
		h.cost = latency
	} else {
		h.cost += latency * (1 - w)
	}
	h.stamp = now
	if o.OK > 0 {
		h.row = 0
		if h.out && h.probing {
			h.out, h.probing, h.level = false, false, 0
			l.note(i, lb.Reinstated)
		}
		return lb.Counted
	}
	h.row++
	if !l.never && (h.out && h.probing || !h.out && h.row >= 7) {
		l.eject(i, now)
	}
	return lb.Counted
}

func (l *linkerd) eject(i int, now time.Duration) {
	h := &l.hosts[i]
	if !h.out {
		l.note(i, lb.Ejected)
	}
	pause := float64(min(time.Second<<min(h.level, 6), time.Minute)) * (1 + 0.5*l.random.float())
	h.out, h.probing, h.until = true, false, now+time.Duration(pause)
	h.level++
}
