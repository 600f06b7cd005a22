package adaptive

import (
	"math"
	"slices"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// model is the adaptive balancer once more, as plainly as it can be written
// down: whole structs, times as they are, and every table made anew for every
// pick. It draws the same random numbers in the same order.
type model struct {
	cfg                                  Config
	random                               random
	hosts                                []*modelHost
	picks, tested                        uint64
	budget                               float32
	shed                                 uint32
	started, littleOff, littleUsed       bool
	probes, base                         []route.Host
	baseGap, nextBase, nextTurn          time.Duration
	nextShed, answered                   time.Duration
	ended, late, turnEnds, turnForgotten uint64
	control                              *modelHost
	events                               []string
}

type modelHost struct {
	id                                                 route.Host
	weight                                             uint32
	zone                                               string
	local                                              bool
	state                                              state
	reason                                             reason
	suspect, measure, ramping, probation, probing      bool
	trusted, worked, answered, waiting, returned, busy bool
	latency, fast, slow, area                          float32
	inFlight, older, calls, failures, next, score, row int
	lastPick                                           uint32
	lastEnd, lastOK, quiet, areaAt                     time.Duration
	since, rampFrom, nextProbe, calm, trialAt          time.Duration
	suspected                                          time.Duration
	outPicks                                           uint64
	level, tries, silent, needed, done, failed, owed   int
	generation                                         int
	ejections                                          int
}

func (m *model) mean() float32 {
	sum, n := float32(0), float32(0)
	for _, h := range m.hosts {
		if h.state == up && h.worked {
			sum, n = sum+h.latency, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

func (m *model) find(id route.Host) *modelHost {
	for _, h := range m.hosts {
		if h.id == id {
			return h
		}
	}
	return nil
}

func (m *model) note(h *modelHost, k lb.EventKind) {
	if len(m.events) < maxEvents {
		m.events = append(m.events, h.id.String()+" "+k.String())
	}
}

// perCall is 1 / weight, where 1 is the mean weight.
func (m *model) perCall(h *modelHost) float32 {
	sum := 0.0
	for _, o := range m.hosts {
		sum += float64(o.weight)
	}
	return float32(sum / float64(len(m.hosts)) / float64(float32(h.weight)))
}

func (m *model) w(h *modelHost) float64 {
	if h.weight == 0 {
		return 0
	}
	return 1 / float64(m.perCall(h))
}

// rotation returns the hosts to draw from, how many of them are local, and the
// share of the local ones and the limit of refusals.
func (m *model) rotation() (rot []*modelHost, local int, share, limit float64, panics bool) {
	var all, live, allLocal, liveLocal float64
	for _, where := range []bool{true, false} {
		allHere, liveHere := 0.0, 0.0
		for _, h := range m.hosts {
			if h.local != where || h.weight == 0 {
				continue
			}
			allHere += m.w(h)
			if where {
				allLocal += m.w(h)
			}
			if h.state == up {
				rot = append(rot, h)
				liveHere += m.w(h)
				if where {
					local++
					liveLocal += m.w(h)
				}
			}
		}
		all, live = all+allHere, live+liveHere
	}
	switch share = 1; {
	case local == 0:
		share = 0
	case local < len(rot):
		share = min(1, m.cfg.Overprovision*liveLocal/allLocal)
	}
	if panics = len(rot) == 0 && all > 0; panics {
		rot = m.callable(func(h *modelHost) bool { return h.reason != dead })
		if len(rot) == 0 {
			rot = m.callable(func(*modelHost) bool { return true })
		}
		local, live = len(rot), all
	}
	if m.cfg.LoadLimit > 0 && live*m.cfg.LoadLimit < all {
		limit = 1 - live*m.cfg.LoadLimit/all
	}
	return rot, local, share, limit, panics
}

func (m *model) callable(is func(*modelHost) bool) (hosts []*modelHost) {
	for _, h := range m.hosts {
		if h.weight > 0 && is(h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

func (m *model) changed() {
	_, _, _, limit, _ := m.rotation()
	m.shed = min(m.shed, chance(limit))
}

func (m *model) load(h *modelHost, rot int) float32 {
	c := h.latency
	if h.row >= m.cfg.Doubtful {
		if h.measure {
			return 0
		}
		c *= 16
	} else if gone, halve := uint32(m.picks)-h.lastPick, uint32(m.cfg.Forget*rot); h.inFlight == 0 && gone > halve {
		c /= float32(math.Pow(2, float64(min(gone/halve, 30))))
	}
	l := (c + 50) * (1 + float32(h.inFlight)*m.perCall(h))
	if h.suspect {
		l *= 16
	}
	return l
}

// draw draws one of a zone by weight with 32 random bits.
func (m *model) draw(zone []*modelHost, r uint32, uneven bool) *modelHost {
	at := uint64(r) * uint64(len(zone))
	k := int(at >> 32)
	if !uneven {
		return zone[k]
	}
	if keep, alias := m.aliasTable(zone); uint32(at) > keep[k] {
		k = alias[k]
	}
	return zone[k]
}

func (m *model) aliasTable(zone []*modelHost) (keep []uint32, alias []int) {
	sum := 0.0
	for _, h := range zone {
		sum += m.w(h)
	}
	var p []float64
	var small, large []int
	for k, h := range zone {
		p = append(p, m.w(h)*float64(len(zone))/sum)
		keep, alias = append(keep, math.MaxUint32), append(alias, k)
		if p[k] < 1 {
			small = append(small, k)
		} else {
			large = append(large, k)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		keep[s], alias[s] = chance(p[s]), l
		if p[l] -= 1 - p[s]; p[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	return keep, alias
}

func (m *model) uneven() bool {
	weights := map[uint32]bool{}
	for _, h := range m.hosts {
		if h.weight > 0 {
			weights[h.weight] = true
		}
	}
	return len(weights) > 1
}

func (m *model) pick(now time.Duration, avoid route.Host) (route.Host, lb.Verdict) {
	h, verdict := m.pickTrial(now, avoid), lb.Picked
	if h == nil {
		h, verdict = m.choose(now, avoid)
	}
	if verdict != lb.Picked {
		return route.Host{}, verdict
	}
	m.begin(h, now)
	return h.id, lb.Picked
}

// assign counts a call that was picked elsewhere.
func (m *model) assign(id route.Host, now time.Duration) {
	h := m.find(id)
	if h == nil {
		return
	}
	if h.state == trial && !(h.busy && now-h.trialAt < 5*sec) {
		h.busy, h.trialAt = true, now
	}
	m.begin(h, now)
}

func (m *model) begin(h *modelHost, now time.Duration) {
	if h.inFlight == 0 {
		h.quiet = now.Truncate(ms)
	}
	h.integrate(now)
	h.inFlight++
	h.measure = false
	m.picks++
}

func (h *modelHost) integrate(now time.Duration) {
	h.area += float32(h.inFlight) * float32(uint32((now.Truncate(time.Microsecond)-h.areaAt)/time.Microsecond))
	h.areaAt = now.Truncate(time.Microsecond)
}

// trialsInOrder returns the hosts on trial, the local ones first.
func (m *model) trialsInOrder() (hosts []*modelHost) {
	for _, where := range []bool{true, false} {
		for _, h := range m.hosts {
			if h.local == where && h.state == trial && h.weight > 0 {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

func (m *model) pickTrial(now time.Duration, avoid route.Host) *modelHost {
	hosts := m.trialsInOrder()
	if len(hosts) == 0 {
		return nil
	}
	m.budget = min(m.budget+0.05, 2)
	for _, h := range hosts {
		if h.busy && now-h.trialAt < 5*sec || h.id == avoid {
			continue
		}
		if m.budget < 1 {
			return nil
		}
		m.budget--
		h.busy, h.trialAt = true, now
		return h
	}
	return nil
}

func (m *model) choose(now time.Duration, avoid route.Host) (*modelHost, lb.Verdict) {
	rot, local, share, _, _ := m.rotation()
	switch {
	case len(m.hosts) == 0:
		return nil, lb.NoHosts
	case len(rot) == 0:
		return nil, lb.Overloaded
	case m.shed != 0 && uint32(m.random.next()) < m.shed:
		return nil, lb.Overloaded
	}
	zone := rot
	if local < len(rot) {
		zone = rot[local:]
		other := rot[:local]
		if uint32(m.random.next()) < chance(share) {
			zone, other = other, zone
		}
		if len(zone) == 1 && zone[0].id == avoid && len(other) > 0 {
			zone = other
		}
	}
	x, y := m.two(zone)
	if x.ramping || x.probation || y.ramping || y.probation {
		x, y = m.admit(x, zone, now), m.admit(y, zone, now)
	}
	if (x.id == avoid || y.id == avoid) && m.find(avoid) != nil && len(zone) > 1 {
		x = m.instead(x, y, avoid, zone)
		y = m.instead(y, x, avoid, zone)
	}
	if x != y && m.load(y, len(rot)) < m.load(x, len(rot)) {
		return y, lb.Picked
	}
	return x, lb.Picked
}

func (m *model) instead(x, other *modelHost, avoid route.Host, zone []*modelHost) *modelHost {
	if x.id != avoid {
		return x
	}
	for range 4 {
		if x = m.draw(zone, uint32(m.random.next()), m.uneven()); x != other && x.id != avoid {
			return x
		}
	}
	at := m.random.below(len(zone))
	for k := range zone {
		if x = zone[(at+k)%len(zone)]; x.id != avoid && x != other {
			return x
		}
	}
	return other
}

func (m *model) two(zone []*modelHost) (x, y *modelHost) {
	r := m.random.next()
	if !m.uneven() {
		if len(zone) == 1 {
			return zone[0], zone[0]
		}
		i, j := uint64(uint32(r))*uint64(len(zone))>>32, r>>32*uint64(len(zone)-1)>>32
		if j >= i {
			j++
		}
		return zone[i], zone[j]
	}
	x, y = m.draw(zone, uint32(r), true), m.draw(zone, uint32(r>>32), true)
	if x == y && len(zone) > 1 && (x.suspect || x.row > 0) {
		y = m.instead(x, x, x.id, zone)
	}
	return x, y
}

func (m *model) admit(x *modelHost, zone []*modelHost, now time.Duration) *modelHost {
	for range 3 {
		if !(x.probation && x.inFlight > 0) {
			t := float64(now-x.rampFrom) / float64(m.cfg.Ramp)
			if !x.ramping || m.random.float() < min(1, m.cfg.RampMin+(1-m.cfg.RampMin)*t) {
				return x
			}
		}
		x = m.draw(zone, uint32(m.random.next()), m.uneven())
	}
	if x.probation && x.inFlight > 0 && len(zone) > 1 {
		return m.instead(x, x, x.id, zone)
	}
	return x
}

func (m *model) others(i *modelHost) float64 {
	var rates []float64
	for _, h := range m.hosts {
		if h == i || h.state != up || h.weight == 0 {
			continue
		}
		r := max(h.fast, h.slow)
		if h.failures >= 3 {
			r = max(r, float32(h.failures)/float32(h.calls))
		}
		rates = append(rates, float64(r))
	}
	if len(rates) == 0 {
		return 1
	}
	slices.Sort(rates)
	return (rates[(len(rates)-1)/2] + rates[len(rates)/2]) / 2
}
