package adaptive

import (
	"slices"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

func (m *model) update(endpoints []route.Endpoint, now time.Duration) {
	first, before, waiting := !m.started, len(m.hosts), len(m.base)
	m.started = m.started || len(endpoints) > 0
	named := map[route.Host]bool{}
	for _, e := range endpoints {
		if named[e.Host] {
			continue
		}
		named[e.Host] = true
		h := m.find(e.Host)
		switch {
		case h == nil:
			h = &modelHost{
				id: e.Host, latency: 1000, fast: 0.05, slow: 0.05, lastPick: uint32(m.picks), since: now,
				lastEnd: now - time.Hour, areaAt: now.Truncate(time.Microsecond),
			}
			m.hosts = append(m.hosts, h)
			m.base = append(m.base, e.Host)
		case h.weight == 0 && e.Weight > 0 && h.state == up:
			m.join(h, now)
		}
		h.weight, h.zone, h.local = e.Weight, e.Zone, m.cfg.Zone == "" || e.Zone == m.cfg.Zone
	}
	if !first {
		for _, h := range m.hosts[before:] {
			m.join(h, now)
		}
	}
	for i := len(m.hosts) - 1; i >= 0; i-- { // the last one fills a gap
		if h := m.hosts[i]; !named[h.id] {
			if h == m.control {
				m.controlled(lb.ProbeSilent, now)
			}
			m.hosts[i] = m.hosts[len(m.hosts)-1]
			m.hosts = m.hosts[:len(m.hosts)-1]
		}
	}
	m.changed()
	m.baseProbes(waiting, now)
}

func (m *model) baseProbes(waiting int, now time.Duration) {
	if !m.cfg.Probe {
		m.base = nil
	}
	if len(m.base) > waiting {
		for i := len(m.base) - 1; i > 0; i-- {
			j := m.random.below(i + 1)
			m.base[i], m.base[j] = m.base[j], m.base[i]
		}
		m.baseGap = baseTime / time.Duration(len(m.base))
		next := now + time.Duration(m.random.float()*float64(m.baseGap))
		if waiting == 0 || next < m.nextBase {
			m.nextBase = next
		}
	}
}

func (m *model) reconfigure(cfg Config, now time.Duration) {
	before, waiting := m.cfg, len(m.base)
	m.cfg = cfg
	for _, h := range m.hosts {
		h.next, h.local = 0, cfg.Zone == "" || h.zone == cfg.Zone
		if h.row < cfg.Doubtful {
			h.measure = false
		} else if h.state == up && h.row < before.Doubtful {
			h.outPicks, h.nextProbe = m.picks, now+sec
		}
		if cfg.Probe && !before.Probe && !h.trusted {
			m.base = append(m.base, h.id)
		}
	}
	m.changed()
	m.baseProbes(waiting, now)
}

func (m *model) join(h *modelHost, now time.Duration) {
	if mean := m.mean(); mean != 0 {
		h.latency = mean
	}
	h.ramping, h.rampFrom, h.returned = true, now, false
}

func (m *model) observe(id route.Host, o lb.Outcome, now time.Duration) bool {
	h := m.find(id)
	if h == nil {
		return false
	}
	n := int(o.OK + o.Failed)
	if o.Kind == lb.KindIgnored {
		n = max(n, 1)
	}
	told := o.Ticket != 0 && n == 1
	begin := time.Duration(o.Ticket-1) * time.Microsecond
	h.integrate(now)
	latency := float32(0)
	switch us := now.Truncate(time.Microsecond); {
	case o.Latency > 0:
		latency = float32(o.Latency) / 1e3
	case told && begin < us:
		latency = float32((us - begin) / time.Microsecond)
	case n > 0 && !m.littleOff && !told:
		m.littleUsed = true
		latency = h.area / float32(n)
	}
	h.area = 0
	if age := (sixtyFourths(begin) - h.generation + 1<<20) % 65536; !told || age == 0 || age >= 1<<15 {
		h.older -= min(n, h.older)
	}
	h.inFlight -= min(n, h.inFlight)
	h.older = min(h.older, h.inFlight)
	h.quiet, h.lastPick, h.answered = now.Truncate(ms), uint32(m.picks), true
	m.turnEnds += uint64(n)
	began := func(at time.Duration) bool { return !told || begin >= at.Truncate(time.Microsecond) }
	if o.Kind == lb.KindIgnored {
		h.release(began)
		return true
	}
	for k := range int(o.OK + o.Failed) {
		m.one(h, uint32(k) < o.OK, o.Kind, latency, began, told, now)
		latency = 0
	}
	return true
}

func (m *model) one(h *modelHost, ok bool, k lb.Kind, latency float32, began func(time.Duration) bool, told bool, now time.Duration) {
	stale := h.state == up && told && h.ejections > 0 && !began(h.since)
	if h.state == up && !told && !ok && h.owed > 0 {
		stale = true
		h.owed--
	}
	if stale && !ok {
		return
	} else if stale {
		latency = 0
	}
	m.learn(h, ok, latency, now)
	if h.state == up && h.row < m.cfg.Doubtful {
		m.ended++
		if !ok && (k == lb.KindTimeout || k == lb.KindOverloaded || k == lb.KindUnknown) {
			m.late++
		}
	}
	switch {
	case ok:
		m.good(h, latency, began, told, now)
	case k == lb.KindOverloaded:
		h.release(began)
	default:
		m.bad(h, k, began, now)
	}
}

func (h *modelHost) release(began func(time.Duration) bool) {
	if h.state == trial && h.busy && began(h.trialAt) {
		h.busy = false
	}
}

func (m *model) learn(h *modelHost, ok bool, latency float32, now time.Duration) {
	passed := uint32((now.Truncate(ms) - h.lastEnd) / ms)
	h.lastEnd = now.Truncate(ms)
	if latency <= 0 {
		return
	}
	if !ok {
		latency = max(latency, min(2*h.latency, 1e6))
	}
	memory := uint32(m.cfg.LatencyMemory / ms)
	if passed > 10*memory {
		h.latency = latency
		return
	}
	w := max(0.05, float32(passed)/float32(passed+memory))
	h.latency += (latency - h.latency) * w
}

func (m *model) good(h *modelHost, latency float32, began func(time.Duration) bool, told bool, now time.Duration) {
	h.lastOK, h.worked = now.Truncate(ms), true
	if h.row >= m.cfg.Doubtful && h.state == up {
		h.ramping, h.rampFrom, h.returned = true, now, false
		if latency > 0 {
			h.latency = latency
		}
		if m.cfg.Probe && !h.trusted && !h.probing {
			h.silent = 0
			m.probe(h)
		}
	}
	if h.row > 0 {
		h.row, h.measure = 0, false
	}
	if h.probation && began(h.since) {
		h.probation = false
	}
	if h.suspect && began(h.suspected) {
		h.suspect = false
	}
	h.fast -= h.fast / 128
	h.slow -= h.slow / 1024
	if h.fast < 1e-9 {
		h.fast = 0
	}
	if h.slow < 1e-9 {
		h.slow = 0
	}
	if h.failures > 0 {
		h.calls++
		h.bound()
		if h.score -= int(units(lnDown(m.cfg))); h.score <= 0 {
			h.calls, h.failures, h.score, h.next = 0, 0, 0, 0
		}
	}
	switch {
	case h.state == trial && h.busy && began(h.trialAt):
		h.busy = false
		if h.done++; h.done >= h.needed {
			m.reinstate(h, false, now)
		}
	case h.state == out && h.reason == dead && told && began(h.since):
		m.reinstate(h, false, now)
	}
}

func (h *modelHost) bound() {
	if h.calls >= 1024 {
		h.calls, h.failures, h.next = h.calls/2, h.failures/2, h.next/2
	}
	if h.failures == 0 {
		h.calls, h.score, h.next = 0, 0, 0
	}
}

func (m *model) bad(h *modelHost, k lb.Kind, began func(time.Duration) bool, now time.Duration) {
	h.row = min(h.row+1, 255)
	h.fast += (1 - h.fast) / 128
	h.slow += (1 - h.slow) / 1024
	h.calls++
	h.failures++
	h.bound()
	h.score = min(h.score+int(units(lnUp(m.cfg))), 65535)
	switch {
	case h.state == trial && h.busy && began(h.trialAt), h.probation && began(h.since):
		h.busy = false
		if h.done == 255 {
			h.done, h.failed = h.done/2, h.failed/2
		}
		h.done++
		h.failed++
		if evidence(float64(h.failed), float64(h.done), max(m.cfg.GrantedErrorRate, m.others(h))) >= 1 {
			r := rate
			if k == lb.KindRefused && (h.trusted || !m.cfg.Probe) {
				r = dead
			}
			m.eject(h, r, now)
		}
	case h.state == up:
		if h.row >= m.cfg.Doubtful {
			h.outPicks, h.nextProbe = m.picks, now+sec
		}
		recent := h.worked && now.Truncate(ms)-h.lastOK <= sec
		if !m.weigh(h, now) && (k == lb.KindRefused || k == lb.KindTimeout || h.row >= 2 || !recent) {
			m.suspect(h, now)
		}
	}
}

func (m *model) weigh(h *modelHost, now time.Duration) bool {
	limit := m.cfg.Evidence
	if h.ramping && h.returned {
		limit /= 2
	}
	f, n := float64(h.failures), float64(h.calls)
	if h.failures < h.next || evidence(f, n, m.cfg.GrantedErrorRate) < limit {
		return false
	}
	h.next = h.failures + max(1, h.failures/4)
	if evidence(f, n, max(m.cfg.GrantedErrorRate, m.others(h))) < limit {
		return false
	}
	broken, alive := 0, 0
	for _, o := range m.hosts {
		if o.weight == 0 || o.state != up && o.reason == dead {
			continue
		}
		alive++
		if o.state != up {
			broken++
		}
	}
	if float64(broken+1) <= max(1, m.cfg.MaxEjected*float64(alive)) {
		m.eject(h, rate, now)
	}
	return true
}

func (m *model) probe(h *modelHost) {
	h.probing = true
	m.probes = append(m.probes, h.id)
}

func (m *model) suspect(h *modelHost, now time.Duration) {
	if m.cfg.Probe && !h.probing && now >= h.calm {
		h.suspect, h.silent, h.suspected = true, 0, now
		m.probe(h)
	}
}

func (m *model) eject(h *modelHost, r reason, now time.Duration) {
	switch {
	case h.state == trial && h.reason == rate:
	case h.state == trial, h.ejections > 0 && now-h.since < time.Minute:
		h.level = min(h.level+1, 10)
	default:
		h.level -= min(h.level, int((now-h.since)/time.Minute))
	}
	if h.waiting {
		h.probing = false
	}
	h.suspect, h.ramping, h.measure, h.probation, h.waiting, h.returned, h.busy = false, false, false, false, false, false, false
	h.calls, h.failures, h.score, h.next, h.row, h.tries, h.done, h.failed = 0, 0, 0, 0, 0, 0, 0, 0
	h.state, h.reason, h.since, h.outPicks = out, r, now, m.picks
	h.ejections++
	if r == rate {
		h.nextProbe = now + m.random.jitter(sec)
		if m.cfg.Probe && !h.probing {
			h.silent = 0
			m.probe(h)
		}
	} else {
		h.nextProbe = now + max(250*ms, m.random.jitter(m.hold(h)))
	}
	m.changed()
	m.note(h, lb.Ejected)
	if _, _, _, _, panics := m.rotation(); panics {
		m.note(h, lb.Panic)
	}
}

func (m *model) hold(h *modelHost) time.Duration {
	d := 500 * ms
	for range h.level {
		d *= 2
	}
	if h.level == 0 {
		return 0
	}
	return min(d, 30*sec)
}

func (m *model) reinstate(h *modelHost, onTrial bool, now time.Duration) {
	if mean := m.mean(); mean != 0 {
		h.latency = mean
	}
	h.fast = float32(min(0.5, m.others(h)))
	h.owed, h.area, h.areaAt = h.inFlight, 0, now.Truncate(time.Microsecond)
	h.slow, h.lastPick, h.inFlight, h.older = h.fast, uint32(m.picks), 0, 0
	h.row, h.calls, h.failures, h.score, h.next = 0, 0, 0, 0, 0
	h.state, h.reason, h.since, h.rampFrom, h.calm = up, noReason, now, now, 0
	h.measure, h.ramping, h.returned, h.probation = false, true, true, onTrial
	m.changed()
	if onTrial {
		m.note(h, lb.OnTrial)
	} else {
		m.note(h, lb.Reinstated)
	}
}

func (m *model) probed(id route.Host, a lb.Answer, now time.Duration) {
	if a == lb.ProbeOK || a == lb.ProbeRefused {
		m.answered = now
	}
	h := m.find(id)
	if h == nil {
		return
	}
	h.probing = false
	h.trusted = h.trusted || a == lb.ProbeOK
	if h == m.control {
		m.controlled(a, now)
	}
	silentAgain := func() bool {
		if h.silent++; h.silent < 3 {
			m.probe(h)
		}
		return h.silent < 3
	}
	switch {
	case a == lb.ProbeNone:
		m.probeLater(h, now)
	case h.state == up && !h.suspect:
	case h.state == up && a == lb.ProbeOK:
		h.suspect, h.calm = false, now+sec
	case h.state == up && !h.trusted && (h.worked || !m.anyTrusted()):
		h.suspect, h.calm = false, now+10*sec
	case h.state == up:
		if a == lb.ProbeRefused || !silentAgain() && !(now-m.answered > sec && m.askControl(h)) {
			m.eject(h, dead, now)
		}
	case h.reason == rate:
		tells := h.trusted || !h.worked && m.anyTrusted()
		if a != lb.ProbeOK && tells && (a == lb.ProbeRefused || !silentAgain()) {
			h.state, h.reason, h.nextProbe, h.busy = out, dead, now+250*ms, false
			m.changed()
		}
	case a == lb.ProbeOK && now >= h.since+m.hold(h):
		m.reinstate(h, true, now)
	case a == lb.ProbeOK:
		h.nextProbe = max(now+250*ms, h.since+m.hold(h))
	default:
		h.tries++
		h.nextProbe = now + m.random.jitter(m.gap(h, now))
	}
}

func (m *model) probeLater(h *modelHost, now time.Duration) {
	if h.suspect {
		h.suspect, h.calm = false, now+sec
	} else if h.state != up && h.reason == dead {
		h.nextProbe = now + m.random.jitter(m.cfg.ProbeInterval)
	}
	if m.cfg.Probe && !h.trusted && !slices.Contains(m.base, h.id) {
		if len(m.base) == 0 {
			m.nextBase = now + sec
		}
		m.base = append(m.base, h.id)
	}
}

func (m *model) gap(h *modelHost, now time.Duration) time.Duration {
	switch age := now - h.since; {
	case h.tries == 1:
		return m.cfg.ProbeInterval / 2
	case age < 5*time.Minute:
		return m.cfg.ProbeInterval
	default:
		gap := m.cfg.ProbeInterval
		for range min(4, (age-5*time.Minute)/time.Minute) {
			gap *= 2
		}
		return max(m.cfg.ProbeInterval, min(gap, 15*sec))
	}
}

func (m *model) anyTrusted() bool {
	for _, h := range m.hosts {
		if h.trusted {
			return true
		}
	}
	return false
}

func (m *model) askControl(i *modelHost) bool {
	if m.control == nil {
		for _, h := range m.hosts {
			better := m.control == nil || h.worked && (!m.control.worked || h.lastOK > m.control.lastOK)
			if h != i && h.state == up && h.trusted && !h.waiting && better {
				m.control = h
			}
		}
		if m.control == nil {
			return false
		}
		if !m.control.probing {
			m.probe(m.control)
		}
	}
	i.probing, i.waiting = true, true
	return true
}

func (m *model) controlled(a lb.Answer, now time.Duration) {
	m.control = nil
	for _, h := range m.hosts {
		if !h.waiting {
			continue
		}
		h.waiting, h.probing = false, false
		switch {
		case h.state != up || !h.suspect:
		case a == lb.ProbeSilent || a == lb.ProbeNone:
			h.suspect, h.calm = false, now+5*sec
		default:
			m.eject(h, dead, now)
		}
	}
}
