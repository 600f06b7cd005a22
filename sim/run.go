package sim

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// outcome is how a call ended.
type outcome uint8

const (
	fine outcome = iota
	refused
	timedOut
	failed
)

const (
	connectTime  = 500 * time.Microsecond // of a probe that is answered
	probeTimeout = 150 * time.Millisecond
	retryBurst   = 10 // second tries that may be saved up
)

// Simulation is a run under way. Make it with Start. Not safe for concurrent use.
type Simulation struct {
	Scenario
	now       time.Duration
	agenda    agenda
	random    random
	servers   []server
	endpoints []route.Endpoint // of all hosts
	callable  []route.Endpoint // of these, those whose weight is not 0
	agents    []agent
	calls     []call
	free      []int32 // places of calls
	result    *Result
	probes    []lb.Probe
	events    []lb.Event
}

// agent is one machine.
type agent struct {
	balancer lb.Balancer
	tokens   float64       // second tries that it may make
	tick     time.Duration // when the next tick is due
}

// Policy makes the balancer of an agent. zone is the zone of the machine.
type Policy func(seed uint64, zone string) lb.Balancer

const firstIP = 0x0a000001

func hostOf(i int) route.Host { return route.Host{IP: firstIP + uint32(i), Port: 80} }

func numberOf(h route.Host) int { return int(h.IP - firstIP) }

// Run simulates the scenario, which must be valid, with this policy.
func Run(sc Scenario, policy Policy) *Result {
	s := Start(sc, policy)
	s.Advance(sc.Length)
	return s.Result()
}

// Start begins to simulate the scenario, which must be valid, with this policy.
func Start(sc Scenario, policy Policy) *Simulation {
	s := &Simulation{Scenario: sc, random: random(sc.Seed*7919 + 1), result: newResult(&sc)}
	s.servers = make([]server, sc.Hosts)
	s.endpoints = make([]route.Endpoint, sc.Hosts)
	for i := range s.servers {
		s.servers[i] = server{slow: 1, service: sc.Service, workers: sc.Workers}
		s.endpoints[i] = route.Endpoint{Host: hostOf(i), Weight: route.DefaultWeight}
	}
	for i := range sc.Steps {
		if st := &sc.Steps[i]; st.At == 0 {
			s.step(st)
		} else {
			s.agenda.add(st.At, steps, int32(i), 0)
		}
	}
	s.choose()
	s.addAgents(policy)
	return s
}

// Advance simulates what happens up to a time, at most the length of the
// scenario.
func (s *Simulation) Advance(to time.Duration) {
	to = min(to, s.Length)
	for s.agenda.heap[0].at <= to { // never empty: each agent will be asked again
		e := s.agenda.next()
		s.now = e.at
		s.handle(e)
	}
	s.now = to
}

// Now returns the virtual time.
func (s *Simulation) Now() time.Duration { return s.now }

// Result returns what the run has shown up to now. It is the last call.
func (s *Simulation) Result() *Result {
	s.result.end()
	for i := range s.agents {
		s.result.count(s.agents[i].balancer)
	}
	return s.result
}

// choose notes which hosts may be called. As in a fleet, agents do not learn of
// the others.
func (s *Simulation) choose() {
	s.callable = s.callable[:0]
	for _, e := range s.endpoints {
		if e.Weight > 0 {
			s.callable = append(s.callable, e)
		}
	}
}

func (s *Simulation) addAgents(policy Policy) {
	s.agents = make([]agent, s.Agents)
	for i := range s.agents {
		a := &s.agents[i]
		a.balancer = policy(s.Seed*1000003+uint64(i)*97+13, s.Zone)
		a.tokens = retryBurst / 2
		a.balancer.Update(s.callable, 0)
		s.agenda.add(s.random.exponential(1e9/s.Rate), arrives, int32(i), 0)
		a.tick = lb.Never
		s.tickAt(int32(i), time.Duration(s.random.float()*float64(lb.TickAfter)))
	}
}

func (s *Simulation) handle(e entry) {
	switch e.kind {
	case arrives:
		s.agenda.add(s.now+s.random.exponential(1e9/s.Rate), arrives, e.x, 0)
		s.result.Calls.add(s.now)
		a := &s.agents[e.x]
		a.tokens = min(a.tokens+s.Retry, retryBurst)
		s.begin(e.x, s.now, route.Host{}, false)
	case finishes:
		s.finish(e.x)
	case reports:
		s.settle(e.x)
		s.release(e.x)
	case expires:
		s.expire(e.x, e.y)
	case ticks:
		if a := &s.agents[e.x]; a.tick == s.now {
			a.tick = lb.Never
			next := a.balancer.Tick(s.now)
			s.attend(e.x)
			s.tickAt(e.x, next)
		}
	case probed:
		s.answer(e.x, int(e.y))
	case steps:
		s.step(&s.Steps[e.x])
	}
}

// tickAt has the balancer of an agent ticked at a time, if it is not sooner.
func (s *Simulation) tickAt(agent int32, at time.Duration) {
	if a := &s.agents[agent]; at < a.tick {
		a.tick = at
		s.agenda.add(at, ticks, agent, 0)
	}
}

// attend takes what the balancer of an agent says and wants.
func (s *Simulation) attend(agent int32) {
	b := s.agents[agent].balancer
	s.events = b.Events(s.events[:0])
	for i := range s.events {
		s.result.happened(int(agent), &s.events[i], &s.servers[numberOf(s.events[i].Host)], s.now)
	}
	s.probes = b.Probes(s.probes[:0])
	for _, p := range s.probes {
		s.result.Probes++
		i := numberOf(p.Host)
		if s.servers[i].life == dark || s.random.float() < s.ProbesLost {
			s.agenda.add(s.now+probeTimeout, probed, agent, -int32(i)-1)
		} else {
			s.agenda.add(s.now+connectTime, probed, agent, int32(i))
		}
	}
}

// answer gives the answer of a probe to an agent. Hosts without an answer have
// negative numbers.
func (s *Simulation) answer(agent int32, host int) {
	a := lb.ProbeOK
	switch {
	case host < 0:
		a, host = lb.ProbeSilent, -host-1
	case s.servers[host].life == closed:
		a = lb.ProbeRefused
	}
	s.agents[agent].balancer.Probed(hostOf(host), a, s.now)
	s.attend(agent)
	s.tickAt(agent, s.now+lb.TickAfter)
}

// begin picks a host for an operation and calls it.
func (s *Simulation) begin(agent int32, began time.Duration, avoid route.Host, second bool) {
	if len(s.callable) == 0 {
		s.result.Refused.add(s.now)
		return
	}
	h, ticket, verdict := s.agents[agent].balancer.Pick(s.now, avoid)
	s.tickAt(agent, s.now+lb.TickAfter)
	if verdict != lb.Picked {
		s.result.Refused.add(s.now)
		return
	}
	i, at := s.newCall(), numberOf(h)
	s.calls[i] = call{
		began: began, picked: s.now, ticket: uint64(ticket), agent: agent, host: int32(at),
		second: second, generation: s.calls[i].generation,
	}
	s.result.picked(at, s.now)
	s.arrive(i)
}

// settle tells the balancer how a call ended, and ends the operation or tries
// again.
func (s *Simulation) settle(i int32) {
	c := s.calls[i]
	a := &s.agents[c.agent]
	if s.ReportsLost == 0 || s.random.float() >= s.ReportsLost {
		a.balancer.Observe(hostOf(int(c.host)), s.outcomeOf(&c), s.now)
		s.attend(c.agent)
		s.tickAt(c.agent, s.now+lb.TickAfter)
	}
	if c.outcome == fine {
		s.result.succeeded(int(c.agent), int(c.host), c.picked, s.now)
	} else {
		s.result.FailedBy[c.host]++
		if s.Retry > 0 && !c.second && a.tokens >= 1 && (c.outcome == refused || s.RetryTimeouts) {
			a.tokens--
			s.result.Retries++
			s.begin(c.agent, c.began, hostOf(int(c.host)), true)
			return
		}
		s.result.Failed.add(s.now)
	}
	s.result.latency(c.began, s.now)
}

func (s *Simulation) outcomeOf(c *call) lb.Outcome {
	o := lb.Outcome{Latency: s.now - c.picked, Ticket: lb.Ticket(c.ticket)}
	if s.NoLatency {
		o.Latency, o.Ticket = 0, 0
	}
	if c.outcome == fine {
		o.OK = 1
		return o
	}
	o.Failed = 1
	if !s.NoKinds {
		o.Kind = [...]lb.Kind{refused: lb.KindRefused, timedOut: lb.KindTimeout, failed: lb.KindError}[c.outcome]
	}
	return o
}
