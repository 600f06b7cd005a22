package sim

import (
	"fmt"
	"strings"
	"time"

	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/route"
)

// policies are those that PolicyOf knows: first the ones of Lars, then models.
var policies = []struct {
	name string
	make Policy
}{
	{"adaptive", Adaptive(nil)},
	{"classic", newClassic},
	{"round-robin", func(seed uint64, _ string) lb.Balancer { return &roundRobin{seed: seed} }},
	{"least-request", func(seed uint64, _ string) lb.Balancer { return &leastRequest{random: random(seed)} }},
	{"peak-ewma", func(seed uint64, _ string) lb.Balancer { return &linkerd{random: random(seed), never: true} }},
	{"envoy", func(seed uint64, _ string) lb.Balancer { return newEnvoy(seed) }},
	{"linkerd", func(seed uint64, _ string) lb.Balancer { return &linkerd{random: random(seed)} }},
}

// Policies returns the names of the policies.
func Policies() []string {
	names := make([]string, len(policies))
	for i := range policies {
		names[i] = policies[i].name
	}
	return names
}

// PolicyOf returns the policy of that name, with its default configuration.
func PolicyOf(name string) (Policy, error) {
	for i := range policies {
		if policies[i].name == name {
			return policies[i].make, nil
		}
	}
	return nil, fmt.Errorf("sim: policy %q: want one of: %s", name, strings.Join(Policies(), ", "))
}

// Adaptive returns the adaptive policy with the default configuration, changed
// by change if there is one.
func Adaptive(change func(*adaptive.Config)) Policy {
	return func(seed uint64, zone string) lb.Balancer {
		cfg := adaptive.DefaultConfig()
		cfg.Zone = zone
		if change != nil {
			change(&cfg)
		}
		return adaptive.New(cfg, seed)
	}
}

func newClassic(seed uint64, _ string) lb.Balancer {
	return classic.New(classic.DefaultConfig(), seed)
}

// peer is the part of the contract that the models have no use for.
type peer struct{ n int }

// Update sets the number of hosts. The models know hosts by their numbers, and
// in a run these stay.
func (p *peer) Update(e []route.Endpoint, _ time.Duration) { p.n = len(e) }

// Assign ignores the call: in a run every call is picked here.
func (*peer) Assign(route.Host, time.Duration) lb.Ticket { return 0 }

// Tick does nothing.
func (*peer) Tick(time.Duration) time.Duration { return lb.Never }

// Probes asks for none.
func (*peer) Probes(dst []lb.Probe) []lb.Probe { return dst }

// Probed ignores the answer.
func (*peer) Probed(route.Host, lb.Answer, time.Duration) {}

// Events appends nothing.
func (*peer) Events(dst []lb.Event) []lb.Event { return dst }

// Counters returns none.
func (*peer) Counters() lb.Counters { return lb.Counters{} }

// Shares appends nothing.
func (*peer) Shares(dst []lb.Share) []lb.Share { return dst }

// Explain appends nothing.
func (*peer) Explain(dst []lb.HostState) []lb.HostState { return dst }

// journal keeps the events of the models that eject.
type journal struct{ events []lb.Event }

// Events appends what happened since the last call.
func (j *journal) Events(dst []lb.Event) []lb.Event {
	dst = append(dst, j.events...)
	j.events = j.events[:0]
	return dst
}

func (j *journal) note(host int, k lb.EventKind) {
	j.events = append(j.events, lb.Event{Host: hostOf(host), Kind: k})
}

// roundRobin takes the hosts in turn, weighted smoothly if weights differ
// (nginx), and never ejects.
type roundRobin struct {
	peer
	seed    uint64
	weights []float64
	credit  []float64
	sum     float64
}

// Update sets the weights.
func (p *roundRobin) Update(e []route.Endpoint, _ time.Duration) {
	r := random(p.seed)
	for i := range e {
		p.weights = append(p.weights, float64(e[i].Weight))
		p.credit = append(p.credit, r.float()*float64(e[i].Weight))
		p.sum += float64(e[i].Weight)
	}
}

// Pick returns the next host in turn.
func (p *roundRobin) Pick(time.Duration, route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	best := 0
	for i := range p.credit {
		if p.credit[i] += p.weights[i]; p.credit[i] > p.credit[best] {
			best = i
		}
	}
	p.credit[best] -= p.sum
	return hostOf(best), 0, lb.Picked
}

// Observe ignores the outcome.
func (p *roundRobin) Observe(route.Host, lb.Outcome, time.Duration) lb.Effect { return lb.Counted }

// leastRequest picks of two random hosts the one with fewer calls in flight.
type leastRequest struct {
	peer
	random   random
	inFlight []int
}

// Update sets the hosts.
func (p *leastRequest) Update(e []route.Endpoint, _ time.Duration) { p.inFlight = make([]int, len(e)) }

// Pick returns the better of two hosts.
func (p *leastRequest) Pick(time.Duration, route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	a, b := p.random.two(len(p.inFlight))
	if p.inFlight[b] < p.inFlight[a] {
		a = b
	}
	p.inFlight[a]++
	return hostOf(a), 0, lb.Picked
}

// Observe ends a call.
func (p *leastRequest) Observe(h route.Host, _ lb.Outcome, _ time.Duration) lb.Effect {
	p.inFlight[numberOf(h)]--
	return lb.Counted
}
