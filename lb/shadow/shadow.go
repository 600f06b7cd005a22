// Package shadow lets a second balancer look on: it gets the calls and the
// results of the first, answers nobody, and shows what it would have done.
//
//	b := shadow.New(classic.New(...), adaptive.New(...))
//	b.Counters().ShadowPicks     // picks of hosts that the second one had ejected
//	b.Shadow().Explain(nil)      // its view of the hosts
//
// The probes that the second balancer asks for are made, since it judges by the
// answers; the first one must not ask for any, or not about the same hosts. It is
// not safe for concurrent use, as balancers are.
package shadow

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// Balancer implements lb.Balancer: the first balancer, beside which a second one
// looks on.
type Balancer struct {
	lb.Balancer // the one that answers

	second   lb.Balancer
	ejected  map[route.Host]bool // by the second one
	counters lb.Counters         // the fields that concern the second one
	scratch  []lb.Event
}

// New returns first with second beside it. The two know the same hosts.
func New(first, second lb.Balancer) *Balancer {
	b := &Balancer{Balancer: first, second: second, ejected: make(map[route.Host]bool)}
	b.review()
	return b
}

// First returns the balancer that answers.
func (b *Balancer) First() lb.Balancer { return b.Balancer }

// Shadow returns the balancer that looks on.
func (b *Balancer) Shadow() lb.Balancer { return b.second }

// Update makes endpoints the hosts of both.
func (b *Balancer) Update(endpoints []route.Endpoint, now time.Duration) {
	b.Balancer.Update(endpoints, now)
	b.second.Update(endpoints, now)
	b.review()
}

// Pick picks by the first balancer. The ticket is that of the second one if the
// first one needs none.
func (b *Balancer) Pick(now time.Duration, avoid route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	host, ticket, verdict := b.Balancer.Pick(now, avoid)
	if verdict == lb.Picked {
		ticket = b.assign(host, ticket, now)
	}
	return host, ticket, verdict
}

// Assign counts a call with both.
func (b *Balancer) Assign(host route.Host, now time.Duration) lb.Ticket {
	return b.assign(host, b.Balancer.Assign(host, now), now)
}

func (b *Balancer) assign(host route.Host, ticket lb.Ticket, now time.Duration) lb.Ticket {
	if len(b.ejected) != 0 && b.ejected[host] {
		b.counters.ShadowPicks++
	}
	if second := b.second.Assign(host, now); ticket == 0 {
		return second
	}
	return ticket
}

// Observe tells both. Only the probes of the second one matter to the caller.
func (b *Balancer) Observe(host route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	effect := b.Balancer.Observe(host, o, now)
	second := b.second.Observe(host, o, now)
	if second&lb.Changed != 0 {
		b.follow()
	}
	return effect | second&lb.Asked
}

// Tick ticks both.
func (b *Balancer) Tick(now time.Duration) time.Duration {
	next := min(b.Balancer.Tick(now), b.second.Tick(now))
	b.follow()
	return next
}

// Probes appends those of both.
func (b *Balancer) Probes(dst []lb.Probe) []lb.Probe {
	return b.second.Probes(b.Balancer.Probes(dst))
}

// Probed answers both.
func (b *Balancer) Probed(host route.Host, answer lb.Answer, now time.Duration) {
	b.Balancer.Probed(host, answer, now)
	b.second.Probed(host, answer, now)
	b.follow()
}

// Counters returns those of the first balancer, and what the second one would have
// done.
func (b *Balancer) Counters() lb.Counters {
	c, second := b.counters, b.second.Counters()
	c.ShadowProbes = second.ProbesOK + second.ProbesRefused + second.ProbesSilent
	return c.Plus(b.Balancer.Counters())
}

// follow takes the events of the second balancer.
func (b *Balancer) follow() {
	b.scratch = b.second.Events(b.scratch[:0])
	for i := range b.scratch {
		switch e := &b.scratch[i]; e.Kind {
		case lb.Ejected:
			b.counters.ShadowEjected++
			b.ejected[e.Host] = true
		case lb.Reinstated, lb.OnTrial:
			b.counters.ShadowReinstated++
			delete(b.ejected, e.Host)
		}
	}
}

// review finds the hosts that the second balancer has ejected: after an Update
// some are gone.
func (b *Balancer) review() {
	clear(b.ejected)
	for _, s := range b.second.Explain(nil) {
		if s.Ejected {
			b.ejected[s.Host] = true
		}
	}
}
