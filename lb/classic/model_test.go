package classic

import (
	"slices"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// model is the classic balancer once more, as slowly and plainly as it can be
// written down: two slices in the order of the queues, searched from the
// front, and the numbered steps of the specification in their words.
type model struct {
	cfg       Config
	accessCnt int
	idle      []*modelHost
	overload  []*modelHost
	departed  []Result
}

type modelHost struct {
	host                                                  route.Host
	vsucc, verr, rsucc, rerr, continSucc, continErr       int
	carrySucc, carryErr, totalSucc, totalErr, ejected, re int
	isOverload, news                                      bool
	idleTS, overloadTS, since                             time.Duration
}

func (m *model) Pick(time.Duration) (route.Host, lb.Verdict) {
	switch {
	case len(m.idle) == 0 && len(m.overload) == 0:
		return route.Host{}, lb.NoHosts
	case len(m.idle) == 0: // 1
		if m.accessCnt >= m.cfg.ProbeNum {
			m.accessCnt = 0
			return take(&m.overload), lb.Picked
		}
		m.accessCnt++
		return route.Host{}, lb.Overloaded
	case len(m.overload) == 0: // 2
		return take(&m.idle), lb.Picked
	default: // 3
		if m.accessCnt >= m.cfg.ProbeNum {
			m.accessCnt = 0
			return take(&m.overload), lb.Picked
		}
		m.accessCnt++
		return take(&m.idle), lb.Picked
	}
}

func take(queue *[]*modelHost) route.Host {
	h := (*queue)[0]
	*queue = append(slices.Clone((*queue)[1:]), h)
	return h.host
}

func (m *model) all() []*modelHost { return slices.Concat(m.idle, m.overload) }

func (m *model) find(host route.Host) *modelHost {
	for _, h := range m.all() {
		if h.host == host {
			return h
		}
	}
	return nil
}

func without(queue []*modelHost, h *modelHost) []*modelHost {
	return slices.DeleteFunc(slices.Clone(queue), func(o *modelHost) bool { return o == h })
}

func (m *model) Report(host route.Host, ok bool, now time.Duration) Change {
	h := m.find(host)
	if h == nil {
		return Unknown
	}
	h.news = true
	if ok { // 1
		h.vsucc, h.rsucc, h.continSucc, h.continErr = h.vsucc+1, h.rsucc+1, h.continSucc+1, 0
		h.totalSucc++
	} else {
		h.verr, h.rerr, h.continErr, h.continSucc = h.verr+1, h.rerr+1, h.continErr+1, 0
		h.totalErr++
	}
	if !h.isOverload && !ok { // 2
		if float64(h.verr)/float64(h.vsucc+h.verr) > m.cfg.ErrRate || h.continErr >= m.cfg.ContinErrLimit {
			return m.eject(h, now)
		}
	}
	if h.isOverload && ok { // 3
		if float64(h.vsucc)/float64(h.vsucc+h.verr) > m.cfg.SuccRate || h.continSucc >= m.cfg.ContinSuccLimit {
			return m.bringBack(h, now)
		}
	}
	if !h.isOverload && now-h.idleTS >= m.cfg.IdleTimeout { // 4
		if float64(h.rerr)/float64(h.rsucc+h.rerr) >= m.cfg.WindowErrRate {
			return m.eject(h, now)
		}
		m.assignIdle(h, now)
		return None
	}
	if h.isOverload && now-h.overloadTS >= m.cfg.OverloadTimeout { // 5
		return m.bringBack(h, now)
	}
	return None
}

func (m *model) eject(h *modelHost, now time.Duration) Change {
	h.carrySucc, h.carryErr = h.carrySucc+h.rsucc, h.carryErr+h.rerr
	h.vsucc, h.verr = 0, m.cfg.InitErrCnt
	h.rsucc, h.rerr, h.continSucc, h.continErr = 0, 0, 0, 0
	h.overloadTS, h.since, h.isOverload = now, now, true
	h.ejected++
	m.idle, m.overload = without(m.idle, h), append(m.overload, h)
	return Ejected
}

func (m *model) bringBack(h *modelHost, now time.Duration) Change {
	m.assignIdle(h, now)
	h.since, h.isOverload = now, false
	h.re++
	m.overload, m.idle = without(m.overload, h), append(m.idle, h)
	return Reinstated
}

func (m *model) assignIdle(h *modelHost, now time.Duration) {
	h.carrySucc, h.carryErr = h.carrySucc+h.rsucc, h.carryErr+h.rerr
	h.vsucc, h.verr = m.cfg.InitSuccCnt, 0
	h.rsucc, h.rerr, h.continSucc, h.continErr = 0, 0, 0, 0
	h.idleTS = now
}

func (m *model) Update(hosts []route.Host, now time.Duration) {
	for _, h := range m.all() {
		if slices.Contains(hosts, h.host) {
			continue
		}
		if h.news {
			m.departed = append(m.departed, h.result())
		}
		m.idle, m.overload = without(m.idle, h), without(m.overload, h)
	}
	for _, host := range hosts {
		if m.find(host) == nil {
			m.idle = append(m.idle, m.newHost(host, now))
		}
	}
}

// newHost takes over what is still to be reported of a host that left.
func (m *model) newHost(host route.Host, now time.Duration) *modelHost {
	h := &modelHost{host: host, vsucc: m.cfg.InitSuccCnt, idleTS: now, since: now}
	for i, r := range m.departed {
		if r.Host == host {
			h.carrySucc, h.carryErr, h.news = int(r.Succ), int(r.Err), true
			m.departed = slices.Delete(m.departed, i, i+1)
			break
		}
	}
	return h
}

func (h *modelHost) result() Result {
	return Result{
		Host: h.host, Overload: h.isOverload,
		Succ: uint32(h.carrySucc + h.rsucc), Err: uint32(h.carryErr + h.rerr),
		TotalSucc: uint64(h.totalSucc), TotalErr: uint64(h.totalErr),
	}
}

func (m *model) Collect(dst []Result) []Result {
	dst = append(dst, m.departed...)
	m.departed = nil
	for _, h := range m.all() {
		dst = append(dst, h.result())
		h.carrySucc, h.carryErr, h.news = 0, 0, false
	}
	return dst
}

func (m *model) Explain(dst []HostState) []HostState {
	for _, h := range m.all() {
		s := HostState{
			Host: h.host, Overload: h.isOverload, Since: h.since, Window: h.idleTS,
			VirtualSucc: uint32(h.vsucc), VirtualErr: uint32(h.verr),
			Succ: uint32(h.rsucc), Err: uint32(h.rerr),
			ContinSucc: uint32(h.continSucc), ContinErr: uint32(h.continErr),
			TotalSucc: uint64(h.totalSucc), TotalErr: uint64(h.totalErr),
			Ejected: uint32(h.ejected), Reinstated: uint32(h.re),
		}
		if h.isOverload {
			s.Window = h.overloadTS
		}
		dst = append(dst, s)
	}
	return dst
}
