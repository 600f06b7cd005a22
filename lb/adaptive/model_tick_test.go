package adaptive

import (
	"math"
	"time"
)

func lnUp(c Config) float64   { return math.Log(c.BadErrorRate / c.GrantedErrorRate) }
func lnDown(c Config) float64 { return math.Log((1 - c.GrantedErrorRate) / (1 - c.BadErrorRate)) }

func (m *model) tick(now time.Duration) {
	if now >= m.nextShed {
		m.nextShed = now + sec
		if float64(m.late) > m.cfg.Distress*float64(m.ended) {
			_, _, _, limit, _ := m.rotation()
			m.shed = chance(limit)
		} else {
			m.shed -= min(m.shed, math.MaxUint32/50)
		}
		m.ended, m.late = 0, 0
	}
	turn := now >= m.nextTurn
	if turn {
		m.nextTurn = now + 500*ms
	}
	for len(m.base) > 0 && now >= m.nextBase {
		last := m.find(m.base[len(m.base)-1])
		m.base, m.nextBase = m.base[:len(m.base)-1], m.nextBase+m.baseGap
		if last != nil && !last.probing && !last.trusted {
			m.probe(last)
		}
	}
	for _, h := range m.hosts {
		if turn && h.inFlight > 0 {
			m.generation(h, now)
		}
		if h.state == up {
			m.tickUp(h, now)
		} else if h.state == out && !h.probing && now >= h.nextProbe {
			m.tickOut(h, now)
		}
	}
	if turn {
		m.losses()
	}
}

func (m *model) tickUp(h *modelHost, now time.Duration) {
	latency := time.Duration(h.latency) * time.Microsecond
	owes := now.Truncate(ms) - h.quiet
	if h.inFlight > 0 && !h.suspect && now >= h.calm && owes > max(m.cfg.StallMin, min(8*latency, 500*ms)) {
		m.suspect(h, now)
	}
	if h.ramping && now >= h.rampFrom+m.cfg.Ramp {
		h.ramping, h.owed = false, 0
	}
	if h.row >= m.cfg.Doubtful && h.inFlight == 0 && !h.measure {
		h.measure = m.mayTest(h, now.Truncate(ms)-h.lastEnd, now)
	}
}

func (m *model) tickOut(h *modelHost, now time.Duration) {
	if h.reason == dead && m.cfg.Probe {
		m.probe(h)
	} else if h.weight > 0 && m.mayTest(h, now-h.since, now) {
		h.state, h.busy, h.trialAt, h.needed = trial, false, now, 20
		if h.reason == dead {
			h.needed = 1
		}
		m.changed()
	}
}

func (m *model) mayTest(h *modelHost, idle, now time.Duration) bool {
	gone := m.picks - max(h.outPicks, m.tested)
	if now < h.nextProbe || gone < uint64(m.cfg.TestEvery) && idle < 10*time.Minute {
		return false
	}
	m.tested = m.picks
	return true
}

func (m *model) generation(h *modelHost, now time.Duration) {
	at := sixtyFourths(now)
	age := time.Duration((at-h.generation)%65536) * time.Second / 64 // 17 minutes look like none
	if age < min(4*time.Duration(h.latency)*time.Microsecond, 8*time.Minute) {
		return
	}
	if !h.answered && now.Truncate(ms)-h.quiet <= 30*sec {
		return
	}
	m.turnForgotten += uint64(h.older)
	h.integrate(now)
	h.generation, h.answered = at, false
	h.inFlight -= min(h.older, h.inFlight)
	h.older = h.inFlight
}

func sixtyFourths(t time.Duration) int { return int(t / (time.Second / 64)) }

func (m *model) losses() {
	off := m.turnForgotten*1000 > m.turnEnds
	if off && m.littleUsed {
		m.littleUsed = false
		if mean := m.mean(); mean != 0 {
			for _, h := range m.hosts {
				h.latency = mean
			}
		}
	}
	if m.littleOff = m.littleOff || off; m.turnForgotten*2000 <= m.turnEnds {
		m.littleOff = false
	}
	if m.turnEnds > 1<<16 {
		m.turnEnds, m.turnForgotten = m.turnEnds/2, m.turnForgotten/2
	}
}
