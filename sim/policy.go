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
	{"round-robin", func(seed uint64, _ string) lb.Balancer { return &roundRobin{random: random(seed)} }},
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

// PolicyOf returns the policy of a text: its name, and for adaptive the settings
// that differ from the defaults, as in "adaptive evidence=25 probe=off".
func PolicyOf(text string) (Policy, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		words = []string{""}
	}
	if words[0] == "adaptive" && len(words) > 1 {
		return adaptiveWith(words[1:])
	}
	for i := range policies {
		if policies[i].name != words[0] {
			continue
		}
		if len(words) > 1 {
			return nil, fmt.Errorf("sim: policy %s takes no settings, but has %s", words[0], words[1])
		}
		return policies[i].make, nil
	}
	return nil, fmt.Errorf("sim: policy %q: want one of: %s", words[0], strings.Join(Policies(), ", "))
}

// adaptiveWith returns the adaptive policy with settings as in "evidence=25".
func adaptiveWith(settings []string) (Policy, error) {
	cfg := adaptive.DefaultConfig()
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("sim: policy adaptive: %q: want KEY=VALUE", s)
		}
		if err := cfg.Set(key, value); err != nil {
			return nil, fmt.Errorf("sim: policy adaptive: %w", err)
		}
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sim: policy adaptive: %w", err)
	}
	return Adaptive(func(c *adaptive.Config) {
		zone := c.Zone
		*c = cfg
		if c.Zone == "" {
			c.Zone = zone
		}
	}), nil
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

// peer is the part of the contract that the models have in common. They know
// hosts by their numbers, so that those which leave and come back keep their
// state.
type peer struct{ present []int }

// take notes the hosts that may be called, and returns one more than the
// highest number.
func (p *peer) take(e []route.Endpoint) (numbers int) {
	p.present = p.present[:0]
	for i := range e {
		at := numberOf(e[i].Host)
		p.present, numbers = append(p.present, at), max(numbers, at+1)
	}
	return numbers
}

// grown returns list with at least n elements, the new ones as made.
func grown[T any](list []T, n int, made T) []T {
	for len(list) < n {
		list = append(list, made)
	}
	return list
}

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
	random  random
	weights []float64
	credit  []float64
	sum     float64
}

// Update sets the weights.
func (p *roundRobin) Update(e []route.Endpoint, _ time.Duration) {
	n := p.take(e)
	p.weights, p.credit, p.sum = grown(p.weights, n, 0), grown(p.credit, n, 0), 0
	for i := range e {
		at, w := numberOf(e[i].Host), float64(e[i].Weight)
		p.weights[at], p.credit[at] = w, p.random.float()*w
		p.sum += w
	}
}

// Pick returns the next host in turn.
func (p *roundRobin) Pick(time.Duration, route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	best := p.present[0]
	for _, i := range p.present {
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
func (p *leastRequest) Update(e []route.Endpoint, _ time.Duration) {
	p.inFlight = grown(p.inFlight, p.take(e), 0)
}

// Pick returns the better of two hosts.
func (p *leastRequest) Pick(time.Duration, route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	a, b := p.random.two(len(p.present))
	a, b = p.present[a], p.present[b]
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
