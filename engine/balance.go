package engine

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// tickBatch is how many balancers are ticked while a part is locked. One of a
// hundred hosts takes about a microsecond, and requests wait meanwhile.
const tickBatch = 32

// Probe is a host that the balancer of a service wants connected to. It is
// answered by Probed.
type Probe struct {
	Key route.Key
	lb.Probe
}

// TickBalancers ticks the balancers that need it, which is those of services
// that were used since the last call, that have calls under way, or that wait
// for a time; call it each lb.TickAfter. It appends the probes that they want,
// and reports whether TakeEvents has something new.
func (e *Engine) TickBalancers(dst []Probe, now time.Duration) (probes []Probe, changed bool) {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		sh.agenda.advance(now)
		for left := sh.agenda.len; left > 0; left-- {
			if left%tickBatch == 0 {
				sh.mu.Unlock() // requests have their turn
				sh.mu.Lock()
			}
			if sh.agenda.first == nil {
				break // forgotten meanwhile
			}
			dst = sh.tick(sh.agenda.first, dst, now, &changed)
		}
		sh.mu.Unlock()
	}
	return e.TakeProbes(dst), changed
}

// tick ticks the balancer of a service.
func (sh *shard) tick(s *service, dst []Probe, now time.Duration, changed *bool) []Probe {
	sh.agenda.remove(s)
	next := s.balancer.Tick(now)
	sh.agenda.put(s, next, now)
	*changed = sh.takeEvents(s, now) || *changed
	return sh.takeProbes(s, dst)
}

// takeProbes appends the probes that a balancer wants.
func (sh *shard) takeProbes(s *service, dst []Probe) []Probe {
	sh.wanted = s.balancer.Probes(sh.wanted[:0])
	for _, p := range sh.wanted {
		dst = append(dst, Probe{s.key, p})
	}
	return dst
}

// TakeProbes appends the probes that balancers want since an Observe whose effect
// had Asked.
func (e *Engine) TakeProbes(dst []Probe) []Probe {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for _, s := range sh.agenda.asking {
			s.place.asking = false
			if s.balancer != nil {
				dst = sh.takeProbes(s, dst)
			}
		}
		clear(sh.agenda.asking)
		sh.agenda.asking = sh.agenda.asking[:0]
		sh.mu.Unlock()
	}
	return dst
}

// Probed takes the answer to a probe of a service. It appends the probes that the
// balancer wants next, and reports whether TakeEvents has something new.
func (e *Engine) Probed(key route.Key, host route.Host, answer lb.Answer, dst []Probe, now time.Duration) (probes []Probe, changed bool) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil || s.balancer == nil {
		return dst, false
	}
	s.balancer.Probed(host, answer, now)
	sh.agenda.hurry(s)
	changed = sh.takeEvents(s, now)
	return sh.takeProbes(s, dst), changed
}
