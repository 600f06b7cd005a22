package classic

import (
	"lars.internal/lb"
)

// Shares appends each host with its share of the picks: one of ProbeNum + 1
// goes to the ejected hosts, in turn, the others to those in rotation.
func (c *Balancer) Shares(dst []lb.Share) []lb.Share {
	ejected := 0
	for i := range c.nodes {
		if c.nodes[i].overload {
			ejected++
		}
	}
	probes := 0.0
	if ejected > 0 {
		probes = 1 / float64(c.cfg.ProbeNum+1)
	}
	c.walk(func(i int32, n *node) {
		s := lb.Share{Host: c.hosts[i], Share: (1 - probes) / float64(len(c.nodes)-ejected)}
		if n.overload {
			s.Share = probes / float64(ejected)
		}
		dst = append(dst, s)
	})
	return dst
}

// Explain appends the state of every host in the order of its queue, the idle
// queue first. The facts are the counts by which a host is judged: window is
// the time, in seconds, at which they were opened.
func (c *Balancer) Explain(dst []lb.HostState) []lb.HostState {
	facts := make([]lb.Fact, 0, len(c.nodes)*factsPerHost)
	shares := c.Shares(nil) // in the same order
	c.walk(func(i int32, n *node) {
		from := len(facts)
		facts = n.appendFacts(facts)
		dst = append(dst, lb.HostState{
			Host:           c.hosts[i],
			Ejected:        n.overload,
			Since:          n.since,
			Share:          shares[from/factsPerHost].Share,
			Ejections:      n.ejected,
			Reinstatements: n.reinstated,
			Facts:          facts[from:len(facts):len(facts)],
		})
	})
	return dst
}

// The names of the facts that Explain gives.
const (
	factWindow      = "window" // seconds on the clock of the caller
	factSucc        = "succ"
	factErr         = "err"
	factVirtualSucc = "virtual_succ"
	factVirtualErr  = "virtual_err"
	factContinSucc  = "contin_succ"
	factContinErr   = "contin_err"
	factCause       = "cause"       // a number of this package: the rule behind the last change of state
	factCauseValue  = "cause_value" // what was compared then

	factsPerHost = 9
)

func (n *node) appendFacts(dst []lb.Fact) []lb.Fact {
	return append(dst,
		lb.Fact{Name: factWindow, Value: n.window.Seconds()},
		lb.Fact{Name: factSucc, Value: float64(n.rsucc)},
		lb.Fact{Name: factErr, Value: float64(n.rerr)},
		lb.Fact{Name: factVirtualSucc, Value: float64(n.vsucc)},
		lb.Fact{Name: factVirtualErr, Value: float64(n.verr)},
		lb.Fact{Name: factContinSucc, Value: float64(n.continSucc)},
		lb.Fact{Name: factContinErr, Value: float64(n.continErr)},
		lb.Fact{Name: factCause, Value: float64(n.cause)},
		lb.Fact{Name: factCauseValue, Value: float64(n.value)})
}

// walk calls f for each node in the order of its queue, the idle queue first.
func (c *Balancer) walk(f func(i int32, n *node)) {
	for _, r := range []ring{c.idle, c.overload} {
		if r.head == none {
			continue
		}
		for i := r.head; ; {
			f(i, &c.nodes[i])
			if i = c.nodes[i].next; i == r.head {
				break
			}
		}
	}
}
